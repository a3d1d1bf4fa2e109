# The first boot: the package is installed and nothing is configured.
. /trial/lab
links
check subscriber_reaches_the_relay up

all_inactive() { [ "$(systemctl is-active gate gate-restore gate-boot | sort -u)" = inactive ]; }
timer_disabled() { [ "$(systemctl is-enabled gate-geoip-update.timer)" = disabled ] && [ "$(systemctl is-active gate-geoip-update.timer)" = inactive ]; }
all_disabled() { [ "$(systemctl is-enabled gate gate-restore gate-boot | sort -u)" = disabled ]; }
all_enabled() { [ "$(systemctl is-enabled gate gate-restore gate-boot | sort -u)" = enabled ]; }
none_failed() { [ -z "$(systemctl --failed --plain --no-legend)" ]; }
active_and_closed() { active && closed; }

check nothing_is_enabled_by_the_package all_disabled
not_failed() { ! systemctl is-failed gate.service; }
check timer_is_not_enabled_by_the_package timer_disabled
check start_without_a_configuration systemctl start gate.service
check start_without_a_configuration_is_no_failure not_failed
check nothing_runs_without_a_configuration all_inactive
check port_25_is_open_before_the_gate open $far

# Line by line what "Install" in docs/operations.md says, on a router whose country database is where packages put them.
written=/etc/gate/gate.toml
role() { grep -A1 -x "name = \"$1\"" $written | grep -x "role = \"$2\""; }
begins() { gate init --output $written && role sub0 access && role net0 uplink; }
check init_knows_subscribers_and_internet_apart begins
check doctor_sees_nothing_in_the_way gate doctor --config $written
check starts_what_init_wrote systemctl start gate.service
check status_has_nothing_against_what_init_wrote gate status
check init_only_observes open $far
check it_counts_what_would_be_refused sh -c "gate counters | awk '\$1 == \"sub0\" && \$2 == \"restrict\" && \$6 > 0 { found = 1 } END { exit !found }'"

# A newer database, of a server on this machine: the same one, built some seconds later.
database=$(ls /var/lib/GeoIP/*.mmdb) new=/run/trial-new.mmdb unit=gate-geoip-update.service
cp "$database" $new
at=$(grep --text --byte-offset --only-matching build_epoch $new | tail -1 | cut -d: -f1)
# Behind the name: two octets that say how long the number is, and its four octets, the last of which is the lowest.
printf '\377' | dd of=$new bs=1 seek=$((at + 16)) conv=notrunc status=none
check database_of_the_server_is_another_one no cmp "$database" $new
printf '[[geoip.update]]\ndatabase = "%s"\nurl = "http://127.0.0.1:8000/country.mmdb"\n' "$database" >> $written
# Where it can write, tried by root's user in the same view of the machine.
places='/ /etc/gate /var/lib /var/lib/gate /sys/fs/bpf /var/lib/GeoIP'
mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nExecStartPost=/bin/sh -c "for it in %s; do mkdir $$it/it && rmdir $$it/it && echo writes to $$it.; done; :"\n' "$places" > /run/systemd/system/$unit.d/trial.conf
systemctl daemon-reload
check update_without_its_server_fails no systemctl start $unit
told() { journalctl --no-pager --boot --unit=$unit | grep -F "$1"; }
check it_says_why told 'no connection to this server'
systemctl reset-failed $unit
systemd-socket-activate --accept --inetd --listen=127.0.0.1:8000 /bin/bash /trial/mirror < /dev/null > /dev/null 2>&1 &
mirror=$!
listens() { ss --listening --numeric --tcp | grep -F 127.0.0.1:8000; }
check server_of_databases_listens eventually listens
check update_fetches systemctl start $unit
check update_can_write_to_its_directory told 'writes to /var/lib/GeoIP.'
for directory in ${places% *}; do
    check "update_cannot_write_to_${directory//\//_}" no told "writes to $directory."
done
check it_is_the_one_of_the_server cmp "$database" $new
generation() { gate status | grep -E "^generation +$1,"; }
check daemon_takes_it_by_itself eventually generation 2
check it_is_in_force sh -c "gate geoip info | grep 'in force   this, generation 2'"
check update_fetches_nothing_twice systemctl start $unit
check the_server_was_told_what_is_there grep fetched-nothing-new /run/trial-mirror
check timer_starts systemctl start gate-geoip-update.timer
soon() { [ "$(systemctl show --property=NextElapseUSecRealtime --value gate-geoip-update.timer)" ]; }
check timer_knows_when soon
systemctl stop gate-geoip-update.timer
kill $mirror
rm -r /run/systemd/system/$unit.d $new
systemctl daemon-reload

check it_enables systemctl enable gate.service
check it_is_taken_back sh -c 'systemctl disable --now gate.service && systemctl stop gate-restore.service && gate detach'
check nothing_is_enabled_again all_disabled
find /etc/gate /var/lib/gate -mindepth 1 -delete

# The way to the pins, as docs/tags.md has it.
echo 'z /sys/fs/bpf 0711 root root' > /etc/tmpfiles.d/gate-readers.conf
systemd-tmpfiles --create gate-readers.conf
cp /trial/gate.toml /etc/gate/gate.toml
check starts systemctl start gate.service
check is_active_once_it_is_in_force active_and_closed
check status_has_nothing_against_it gate status

pid=$(main_pid)
line() { grep -x "$1:[[:space:]]*$2" "/proc/$pid/status"; }
inside() { nsenter --target "$pid" --mount -- "$@"; }
# CAP_NET_ADMIN 12, CAP_PERFMON 38, CAP_BPF 39.
for set in CapEff CapPrm CapBnd; do
    check "daemon_has_three_capabilities_in_$set" line $set 000000c000001000
done
check daemon_gets_no_more_by_exec line NoNewPrivs 1
check daemon_is_under_seccomp line Seccomp 2
# As mounted in the daemon's view of the files, for whatever capabilities.
read_only() { inside findmnt --noheadings --output OPTIONS --target "$1" | tail -1 | grep -E '^ro(,|$)'; }
for directory in /etc /usr /etc/gate /var/lib /sys/kernel /proc/sys; do
    check "daemon_cannot_write_to${directory//\//_}" read_only "$directory"
done
check daemon_can_write_to_its_state inside sh -c 'touch /var/lib/gate/it && rm /var/lib/gate/it'
check daemon_sees_no_devices_of_the_machine no inside test -e /dev/ttyS0
of_readers() { find /sys/fs/bpf/gate -group gate-readers | grep .; }
check daemon_has_given_pins_to_the_readers of_readers

sed -i 's/^policy .*/policy = "exempt"/' /etc/gate/gate.toml
check reloads systemctl reload gate.service
check reload_is_in_force open $far
cp /trial/gate.toml /etc/gate/gate.toml
check reloads_again systemctl reload gate.service
check second_reload_is_in_force closed
echo '[port26]' >> /etc/gate/gate.toml
check reload_of_a_mistake_fails no systemctl reload gate.service
check mistake_changes_nothing active_and_closed
# What the last line of an event has in the journal, as journald understood it.
says() {
    local line
    line=$(journalctl --no-pager --boot --unit=gate.service --output=json "GATE_EVENT=$1" | tail -1)
    shift
    for it in "\"_PID\":\"$pid\"" '"SYSLOG_IDENTIFIER":"gate"' "$@"; do
        case $line in *"$it"*) ;; *) echo "no $it in $line"; return 1 ;; esac
    done
}
check journal_says_what_is_wrong_and_what_to_do eventually says error '"PRIORITY":"3"' '"MESSAGE":"error: /etc/gate/gate.toml:' '"GATE_FILE":"/etc/gate/gate.toml"' '"GATE_HINT":"'
check journal_says_the_same_of_the_reload says refused '"PRIORITY":"3"' '"MESSAGE":"error: reload refused: ' '"GATE_BY":"command"' '"GATE_REASON":"/etc/gate/gate.toml:' '"GATE_HINT":"' '"GATE_GENERATION":"'
check journal_knows_the_start says ready '"PRIORITY":"5"' '"MESSAGE":"ready: ' '"GATE_GENERATION":"1"'
check journal_knows_the_interface says interface '"PRIORITY":"6"' '"GATE_INTERFACE":"'
check journal_knows_the_pool says pool '"PRIORITY":"6"' '"GATE_POOL":"'
check journal_knows_where_metrics_are says metrics_open '"PRIORITY":"6"' '"GATE_ADDRESS":"'
cp /trial/gate.toml /etc/gate/gate.toml
check reload_after_the_mistake systemctl reload gate.service
check reloads_keep_the_process test "$(main_pid)" = "$pid"

check stops systemctl stop gate.service
check stopped_daemon_leaves_it_closed closed
check stop_is_no_failure not_failed
degraded() { gate status; [ $? = 3 ]; }
check status_names_the_absence degraded
# journald reads /dev/log as well, and takes apart what syslog(3) would have written.
gate run --config /etc/gate/gate.toml --log syslog > /dev/null 2>&1 &
pid=$!
of_syslog() { journalctl --no-pager --boot --output=json _TRANSPORT=syslog "_PID=$pid" | grep -F '"MESSAGE":"ready: ' > /trial/line; }
check syslog_gets_the_start eventually of_syslog
for it in '"PRIORITY":"5"' '"SYSLOG_FACILITY":"3"' '"SYSLOG_IDENTIFIER":"gate"' "\"SYSLOG_PID\":\"$pid\"" '"SYSLOG_TIMESTAMP":"'; do
    check "syslog_has_${it//[^A-Z]/}" grep -F "$it" /trial/line
done
kill "$pid"
wait "$pid"
check it_ends_when_it_is_told test $? = 0
check starts_again systemctl start gate.service

shipped() { [ "$(systemctl show --property=WatchdogUSec --value gate.service)" = 30s ]; }
check watchdog_waits_as_the_page_says shipped
# From the next start on: the shipped time is only longer to wait for.
mkdir -p /run/systemd/system/gate.service.d
printf '[Service]\nWatchdogSec=10\n' > /run/systemd/system/gate.service.d/trial.conf
systemctl daemon-reload

again() { [ "$(restarts)" = "$1" ] && active; }
kill -KILL "$(main_pid)"
check killed_daemon_leaves_it_closed closed
check killed_daemon_is_started_again eventually again 1
pid=$(main_pid)
kill -STOP "$pid"
check hanging_daemon_leaves_it_closed closed
check watchdog_ends_it_and_it_is_started_again eventually again 2
barked() { journalctl --no-pager --boot --unit=gate.service | grep -i 'watchdog timeout'; }
check journal_names_the_watchdog barked
check closed_after_the_watchdog closed

# MemoryMax= that has no room for a second generation. The first daemon keeps the memory that it once had, so that only tables are to be had anew.
printf '[Service]\nEnvironment=GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296:glibc.malloc.arena_max=1\n' > /run/systemd/system/gate.service.d/trial.conf
systemctl daemon-reload
check starts_with_memory_of_its_own systemctl restart gate.service
group=/sys/fs/cgroup$(systemctl show --property=ControlGroup --value gate.service)
check its_control_group_is_of_version_2 test -f "$group/memory.max"
countries() { printf '[geoip]\ndatabases = ["%s"]\nunknown = "domestic"\n[[class]]\nname = "domestic"\ncountries = ["JP"]\n[[class]]\nname = "foreign"\ndefault = true\n' "$database"; }
large() { countries | cat /trial/gate.toml - > /etc/gate/gate.toml; gate reload --force; }
small() { cp /trial/gate.toml /etc/gate/gate.toml; gate reload --force; }
# So many MiB beyond what cannot be taken back from it: of files, all but those in memory, as everything is here.
leave() {
    local used cached
    used=$(cat "$group/memory.current") cached=$(awk '$1 == "file" { sum += $2 } $1 == "shmem" { sum -= $2 } END { print sum }' "$group/memory.stat")
    systemctl set-property --runtime gate.service MemoryMax=$((used - cached + ($1 << 20)))
}
unlimited() { systemctl set-property --runtime gate.service MemoryMax=infinity; }
in_force() { gate status | grep '^generation '; }
check countries_are_in_force large
check countries_are_no_more_in_force small
pid=$(main_pid) before=$(in_force)
check leaves_too_little leave 4
too_little() { large > /trial/said 2>&1; [ $? = 1 ]; }
check too_little_for_a_second_generation_is_refused too_little
check error_names_the_table grep 'the table countries of [0-9]* bytes cannot be made' /trial/said
check error_names_the_control_group grep -F "control group /system.slice/gate.service may have" /trial/said
check what_was_in_force_stays test "$(in_force)" = "$before"
check too_little_ends_no_daemon test "$(main_pid)" = "$pid"
check closed_with_too_little closed
# What the error says is done, as it says it.
more=$(grep -o 'systemctl set-property gate.service MemoryMax=[0-9]*M' /trial/said)
check error_says_what_gives_it_more $more
check with_more_it_is_in_force large
check small_again small

# And a daemon that the kernel kills for memory in the middle of a reload.
systemctl revert gate.service
rm -f /run/systemd/system/gate.service.d/trial.conf
systemctl daemon-reload
check starts_as_it_is_shipped systemctl restart gate.service
pid=$(main_pid)
check leaves_too_little_for_the_daemon leave 4
check reload_without_memory_fails no large
check killed_for_memory_leaves_it_closed closed
for_memory() { journalctl --no-pager --boot --unit=gate.service | grep -i 'oom'; }
check journal_names_the_memory eventually for_memory
cp /trial/gate.toml /etc/gate/gate.toml
check gets_memory_again unlimited
started_again() { active && [ "$(main_pid)" != "$pid" ]; }
check killed_for_memory_is_started_again eventually started_again
check small_after_all small
check closed_after_the_kernel_killed_it closed
systemctl revert gate.service

systemctl stop gate.service
check detaches gate detach
check port_25_is_open_after_detach open $far
gate boot-rules --config /etc/gate/gate.toml > /etc/gate/boot.nft
check rules_for_the_boot_window_load systemctl start gate-boot.service
check they_close_port_25 closed
check they_are_a_table nft list table inet gate_boot
check is_enabled systemctl enable gate.service gate-boot.service
check enables_what_belongs_to_it all_enabled
check starts_behind_the_rules systemctl start gate.service
check rules_are_taken_away_once_it_is_in_force eventually no nft list table inet gate_boot
check closed_by_the_gate_itself closed
known() { gate doctor | grep 'boot_loader.*gate-boot.service loads it at boot'; }
check doctor_knows_what_loads_the_rules known
kept() { find /var/lib/gate -type f | grep .; }
check last_good_is_kept kept
check no_unit_failed none_failed

# A clock that jumps. Whatever else goes by it has time off.
systemctl stop '*.timer'
year=31536000 hour=3600
jump() { date --set "@$(($(date +%s) + $1))"; }
judged() { gate counters --by all --format csv | awk -F, '$4 == "all" { sum += $12 } END { print sum }'; }
more() { [ "$(judged)" -gt "$before" ]; }
knows_the_source() { gate counters --prefix 100.64.0.2/32 --format csv | grep -F ,100.64.0.2/32,; }
bypassed() { gate status | grep '^state  *bypassed'; }
told() { journalctl --no-pager --boot --unit=gate.service GATE_EVENT="$1" | grep .; }
pid=$(main_pid)
before=$(judged)
check exempts gate exempt add 100.64.0.2/32 --until 1h --ticket NOC-4711
check exempted_is_open open $far
check clock_jumps_a_year jump $year
check deadline_comes_with_the_clock eventually closed
check journal_tells_of_the_clock eventually told clock_set
check a_source_is_no_older_for_it knows_the_source
check counters_only_grow more
before=$(judged)
check clock_jumps_back jump -$year
check deadline_goes_back_with_the_clock eventually open $far
check a_source_is_no_younger_for_it knows_the_source
check counters_grow_on more
check exempts_no_more gate exempt del 100.64.0.2/32
check closed_without_the_exemption closed
check bypasses gate bypass --for 30m --reason trial
check bypassed_is_open open $far
# It is as long as was asked for, whatever the clock says; so is the time for a confirmation.
bypass_ends() { gate --format json bypass | sed -n 's/.*"until": "\([^"]*\)".*/\1/p' | head -n 1; }
half_an_hour_is_left() { left=$(($(date --date "$(bypass_ends)" +%s) - $(date +%s))); [ "$left" -gt 1500 ] && [ "$left" -le 1800 ]; }
half_an_hour_to_confirm() { gate status | grep -E 'waits for a confirmation until .* \((2[5-9]|30) min '; }
check half_an_hour_is_left_of_the_bypass half_an_hour_is_left
echo '# touched' >>/etc/gate/gate.toml
check reloads_to_be_confirmed gate reload --confirm 30m
check waits_half_an_hour half_an_hour_to_confirm
check clock_jumps_an_hour jump $hour
check half_an_hour_is_left_after_a_jump eventually half_an_hour_is_left
check waits_half_an_hour_after_a_jump half_an_hour_to_confirm
check clock_jumps_back_two_hours jump $((-2 * hour))
check half_an_hour_is_left_after_a_jump_back eventually half_an_hour_is_left
check waits_half_an_hour_after_a_jump_back half_an_hour_to_confirm
check bypassed_is_open_after_jumps open $far
check clock_is_put_right jump $hour
check confirmed_after_jumps gate reload --confirmed
check ends_the_bypass gate bypass off
check journal_tells_of_the_end eventually told bypass_over
check closed_after_all_jumps eventually closed
check no_jump_ends_the_daemon test "$(main_pid)" = "$pid"

# What a disk would keep for the next boot.
systemctl enable trial-links.service trial-network.service
stty -F /dev/ttyS1 raw
(cd / && find etc var/lib/gate var/lib/systemd/deb-systemd-helper-enabled -print0 | cpio --null --create --format=newc --quiet) > /dev/ttyS1
finish
