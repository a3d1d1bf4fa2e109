# The second boot, with what the first one left.
. /trial/lab

# The daemon, the program, what a connection found.
mapfile -t first < /run/trial-first
check restore_ran_at_boot test "$(systemctl is-active gate-restore.service)" = active
check first_connection_came_before_the_daemon test "${first[0]}" = inactive
check first_connection_found_the_program_attached test "${first[1]}" = attached
check first_connection_found_it_closed test "${first[2]}" = closed
moment() { systemctl show --property="$2" --value "$1"; }
check restore_was_over_before_the_network test \
    "$(moment gate-restore.service ExecMainExitTimestampMonotonic)" -le "$(moment trial-network.service ExecMainStartTimestampMonotonic)"
check daemon_is_active_after_boot active
check status_is_clean_after_boot gate status
check rules_of_the_boot_window_are_gone eventually no nft list table inet gate_boot
check closed_after_boot closed

pid=$(main_pid)
check upgrades dpkg --install /trial/next.deb
restarted() { active && [ "$(main_pid)" != "$pid" ]; }
check upgrade_restarts_the_daemon restarted
check closed_after_the_upgrade closed

dpkg --remove gate > /trial/said 2>&1
check removal_says_what_stays grep 'stays in force, without a daemon, until the next boot: nothing is opened' /trial/said
check removal_ends_the_daemon test "$(systemctl is-active gate.service)" = inactive
check closed_after_the_removal closed
check purges dpkg --purge gate
check purge_opens_port_25 open $far
check purge_leaves_no_pins no test -e /sys/fs/bpf/gate
check purge_leaves_no_configuration no test -e /etc/gate
finish
