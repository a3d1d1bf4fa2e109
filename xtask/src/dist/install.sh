# In a clean root, as PID 1 of nothing: what dpkg and the package's own scripts leave behind.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
mount -t proc proc /proc
passed=0 failed=0

check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "test $name ... ok"
    else
        failed=$((failed + 1))
        echo "test $name ... FAILED"
        printf '    %s\n' "$output"
    fi
}

no() { ! "$@"; }
# What `systemctl enable` leaves.
enabled() { find /etc/systemd/system -name "$1" -type l | grep -q .; }
nothing_enabled() { ! find /etc/systemd/system -name 'gate*' | grep .; }
version() { [ "$(dpkg-query -W -f '${Status} ${Version}' gate)" = "install ok installed $1" ]; }
installs() { dpkg -i "$1" && dpkg --audit; }

first=$(dpkg-deb -f /trial/first.deb Version)
next=$(dpkg-deb -f /trial/next.deb Version)
find / -xdev -not -path '/trial*' -not -path '/run/*' -not -path '/var/lib/dpkg/*' -not -path '/var/log/*' | sort > /trial/before

check installs_with_nothing_but_what_it_depends_on installs /trial/first.deb
check is_the_version_that_was_built version "$first"
check program_finds_its_libraries gate --version
check nothing_is_enabled_by_an_installation nothing_enabled
for unit in gate gate-restore gate-boot gate-boot-end gate-geoip-update; do
    check "unit_${unit}_is_valid" sh -c "systemd-analyze verify --man=no /usr/lib/systemd/system/$unit.service 2>&1 | { ! grep -F $unit.service; }"
    check "unit_${unit}_is_confined" systemd-analyze security --offline=true --threshold=20 "/usr/lib/systemd/system/$unit.service"
done
check timer_of_databases_is_valid sh -c 'systemd-analyze verify --man=no /usr/lib/systemd/system/gate-geoip-update.timer 2>&1 | { ! grep -F gate-geoip; }'
check group_of_readers_is_there getent group gate-readers
check directory_of_the_configuration_is_there_and_empty sh -c '[ -z "$(ls -A /etc/gate)" ]'
check state_is_private sh -c '[ "$(stat -c %a:%U /var/lib/gate)" = 700:root ]'
check every_command_has_a_manual_page sh -c \
    'gate --help | sed -n "/^Commands:/,/^$/ s/^  \([a-z][a-z-]*\) .*/\1/p" | grep -vx help | while read -r it; do [ -s "/usr/share/man/man1/gate-$it.1.gz" ] || { echo "$it"; exit 1; }; done'
check changelog_is_there gzip -t /usr/share/doc/gate/changelog.Debian.gz
# With the country database where the example says that one is, and the interfaces that it names.
ip link add eth0 type veth peer name eth1
mkdir /trial/bpf
mount -t bpf bpf /trial/bpf
check_example() { gate --pins /trial/bpf/gate check --config /usr/share/doc/gate/examples/gate.toml; }
only_observes() { check_example | grep '^observed  *pool dynamic'; }
check packaged_example_passes_gate_check check_example
check packaged_example_only_observes only_observes
check completion_is_bash bash -n /usr/share/bash-completion/completions/gate

cp /trial/gate.toml /etc/gate/gate.toml
check administrator_enables_it systemctl enable gate.service
check is_enabled enabled gate.service
check restore_is_enabled_along_with_it enabled gate-restore.service
check upgrades installs /trial/next.deb
check is_the_next_version version "$next"
check stays_enabled_through_an_upgrade enabled gate.service
check configuration_is_kept_by_an_upgrade cmp /trial/gate.toml /etc/gate/gate.toml
check goes_back_to_the_version_before installs /trial/first.deb

check administrator_enables_the_timer systemctl enable gate-geoip-update.timer

check is_removed dpkg --remove gate
check configuration_is_kept_by_a_removal cmp /trial/gate.toml /etc/gate/gate.toml
check program_is_gone no test -e /usr/bin/gate
check installs_again installs /trial/next.deb
check is_enabled_as_it_was_before_the_removal enabled gate.service
check timer_is_enabled_as_it_was_before_the_removal enabled gate-geoip-update.timer
check is_purged dpkg --purge gate
find / -xdev -not -path '/trial*' -not -path '/run/*' -not -path '/var/lib/dpkg/*' -not -path '/var/log/*' | sort > /trial/after
# The group stays, and the backups of its files.
check purge_leaves_nothing sh -c 'diff /trial/before /trial/after | grep "^[<>]" | grep -v -x "> /etc/g\?shadow-\|> /etc/group-\|> /etc/gshadow-" && exit 1; exit 0'

word=ok
[ "$failed" = 0 ] || word=FAILED
echo "test result: $word. $passed passed; $failed failed; 0 ignored"
[ "$failed" = 0 ]
