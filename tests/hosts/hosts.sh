#!/usr/bin/env bash
# Client hosts, with network namespaces in their place: a bridge, four clients and the server's host, each with an
# address of its own and an MTU of 1,500. mpirun's agent enters a namespace in the place of ssh.
#
#     tests/hosts/hosts.sh BIN [KILLS]
#
# BIN: the folder of the programs. KILLS: so many trials lose a rank at a random moment; default 1. With more than 2 it
# also takes what needs a minute each: a rank that hangs, and a firewall. $SEED repeats the same moments. Exit status
# 77: it cannot be tried here, and why.
set -u
bin=$(readlink -f "$1") kills=${2:-1}
here=$(readlink -f "$(dirname "$0")")
skip() {
  echo "hosts: skipped: $*" >&2
  exit 77
}
if [ -z "${BAKEOFF_HOSTS_TEST-}" ]; then
  [ -x "$bin/bakeoff-load-ranks" ] || skip "no bakeoff-load-ranks; it needs MPI (openmpi-bin, libopenmpi-dev)"
  for program in mpirun ip unshare nsenter python3; do
    command -v $program >/dev/null || skip "$program is not installed (openmpi-bin, iproute2, util-linux, python3)"
  done
  unshare -n -m -u sh -c 'ip link add test0 type bridge && mount -t tmpfs none /mnt' 2>/dev/null ||
    skip "network namespaces with bridges need CAP_NET_ADMIN and CAP_SYS_ADMIN"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  BAKEOFF_HOSTS_TEST=$scratch unshare -n -m -u "$0" "$@"
  exit
fi

scratch=$BAKEOFF_HOSTS_TEST
RANDOM=${SEED:-$$}
kits=$scratch/kits
export BAKEOFF_KITS=$kits BAKEOFF_FILES=$scratch/files BAKEOFF_LOCKS=$scratch/locks
hosts="c1 c2 c3 c4"
address=10.77.1.1
mkdir -p "$kits"
fail() {
  echo "hosts: $*" >&2
  exit 1
}
step() { echo "$(date +%T) $*" >&2; }

# --- the hosts ---

end_hosts() {
  disown -a
  for host in $hosts; do kill -9 "$(cat "$scratch/$host.pid")" 2>/dev/null; done
}
trap end_hosts EXIT
hostname server
ip link set lo up
ip link add hosts0 type bridge
ip addr add $address/24 dev hosts0
ip -6 addr add fd77::1/64 dev hosts0 nodad
ip link set hosts0 up
number=1
for host in $hosts; do
  # What is copied to a host is on that host alone.
  unshare -n -u -m sh -c "hostname $host; mount -t tmpfs none '$kits'; ip link set lo up; echo up; exec sleep 100000" \
    >"$scratch/$host.up" &
  echo $! >"$scratch/$host.pid"
  until [ -s "$scratch/$host.up" ]; do sleep 0.02; done
  number=$((number + 1))
  ip link add "$host" type veth peer name eth0 netns "$(cat "$scratch/$host.pid")"
  ip link set "$host" master hosts0 up
  "$here/agent" "$scratch" $host "ip addr add 10.77.1.$number/24 dev eth0 && ip link set eth0 mtu 1500 up &&
    ip -6 addr add fd77::$number/64 dev eth0 nodad" || fail "no address for $host"
done

# What was started here and runs in a host's network: number and name. Builtins, but for one search: a program for each
# process of a busy machine would take longer than a trial.
export BAKEOFF_HOSTS_TEST
networks=" "
for host in $hosts; do networks+="$(readlink "/proc/$(cat "$scratch/$host.pid")/ns/net") "; done
running() {
  local pid name network
  grep -lzxF "BAKEOFF_HOSTS_TEST=$scratch" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ pid _; do
    { read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
    case $name in sleep | hosts.sh) continue ;; esac
    network=$(readlink "/proc/$pid/ns/net" 2>/dev/null) || continue
    [[ $networks == *" $network "* ]] && echo "$pid $name"
  done
}
none_left() { # WHAT
  for ((i = 0; i < 100; ++i)); do
    [ -n "$(running)" ] || return 0
    sleep 0.1
  done
  fail "left running after $1: $(running | tr '\n' ',')"
}
# The ranks of a measured load, not those of a pilot: numbers of their processes, without their workers'.
ranks() {
  local pid name stat parent_pid parent words
  running | while read -r pid name; do
    case $name in bakeoff-load-ra*) ;; *) continue ;; esac
    { mapfile -d '' words <"/proc/$pid/cmdline"; } 2>/dev/null || continue
    [[ " ${words[*]} " == *' --hold '* ]] || continue
    # One line, read at once: read seeks back after each line, and those of "status" change their length meanwhile.
    { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || continue
    read -r _ parent_pid _ <<<"${stat##*) }"
    { read -r parent <"/proc/$parent_pid/comm"; } 2>/dev/null || continue
    [[ $parent != orted ]] || echo "$pid"
  done
}
wait_for_ranks() { # COUNT: false when the harness ends before there are so many
  while [ "$(ranks | wc -l)" -lt "$1" ]; do
    kill -0 "$harness" 2>/dev/null || return 1
    sleep 0.02
  done
}
moment() { sleep "$(awk -v most="$1" -v share="$RANDOM" 'BEGIN { printf "%.3f", most * share / 32767 }')"; }

root=""
[ "$(id -u)" != 0 ] || root=--allow-run-as-root
by_hand() { # RANKS ARGUMENT...
  local count=$1
  shift
  # shellcheck disable=SC2086
  mpirun $root -n "$count" --host c1,c2,c3,c4 --map-by slot --bind-to none --mca plm_rsh_agent "$here/agent $scratch" \
    --mca plm_rsh_no_tree_spawn 1 --mca oob_tcp_if_include 10.77.1.0/24 --mca btl_tcp_if_include 10.77.1.0/24 \
    --mca btl tcp,vader,self --mca pml ob1 ${TEST_CLOCK:+-x BAKEOFF_TEST_CLOCK=$TEST_CLOCK} \
    "$bin/bakeoff-load" --ranks "$@"
}
value() { python3 -c "import json,sys; r=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))" "$1" "$2"; }

# --- the load generator alone ---

mkdir -p "$scratch/root"
head -c 1024 /dev/zero >"$scratch/root/f"
start_server() { # ADDRESS
  "$bin/sped" --root "$scratch/root" --address "$1" --port 8080 >"$scratch/server" &
  server=$!
  until [ -s "$scratch/server" ]; do sleep 0.02; done
}
end_server() {
  kill $server
  wait $server
  requests=$(sed -n 's/.*"event":"statistics".*"total":{[^}]*"requests":\([0-9]*\).*/\1/p' "$scratch/server")
}

step "four ranks: totals are the server's"
start_server $address
by_hand 4 http://$address:8080/f --connections 8 --duration 500ms --warmup 100ms --json "$scratch/closed.json" \
  2>"$scratch/closed" || fail "four ranks failed: $(cat "$scratch/closed")"
end_server
[ "$(value "$scratch/closed.json" "r['attempts_in_all']")" = "$requests" ] ||
  fail "the server counted $requests requests, the ranks $(value "$scratch/closed.json" "r['attempts_in_all']")"
[ "$(value "$scratch/closed.json" "[one['host'] for one in r['ranks']]")" = "['c1', 'c2', 'c3', 'c4']" ] ||
  fail "the ranks were not on c1 to c4"
[ "$(value "$scratch/closed.json" \
  "sum(one['replies'] for one in r['ranks']) == r['replies'] == r['histogram']['count']")" = True ] ||
  fail "the ranks' replies are not the whole"

step "one schedule, whatever the number of ranks; a clock that is an hour ahead; IPv6"
start_server fd77::1
open_loop=('http://[fd77::1]:8080/f' --connections 8 --rate 500 --seed 7 --duration 500ms --warmup 100ms)
"$here/agent" "$scratch" c1 "$bin/bakeoff-load ${open_loop[*]} --json $scratch/open1.json" 2>"$scratch/open" ||
  fail "an open loop failed: $(cat "$scratch/open")"
TEST_CLOCK=2:3600000000000:3600000000000 by_hand 4 "${open_loop[@]}" --json "$scratch/open4.json" 2>"$scratch/open" ||
  fail "an open loop of four ranks failed: $(cat "$scratch/open")"
[ "$(value "$scratch/open1.json" "r['offered']")" = "$(value "$scratch/open4.json" "r['offered']")" ] ||
  fail "one process offered $(value "$scratch/open1.json" "r['offered']") requests, four ranks others"
[ "$(value "$scratch/open4.json" "round(r['ranks'][2]['clock_ahead_ms']['before'] / 1000)")" = 3600 ] ||
  fail "a clock an hour ahead was taken for $(value "$scratch/open4.json" "r['ranks'][2]['clock_ahead_ms']")"
[ "$(value "$scratch/open4.json" "sum(map(len, (one['faults'] for one in r['ranks'])))")" = 0 ] ||
  fail "a clock that is ahead spoils the run: $(value "$scratch/open4.json" "r['verdict']")"
step "start skew: $(value "$scratch/open4.json" "'%.3f ms' % r['start_skew_ms']")"

step "a clock that steps"
TEST_CLOCK=3:0:200000000 by_hand 4 'http://[fd77::1]:8080/f' --connections 8 --duration 300ms --warmup 100ms --strict \
  --json "$scratch/step.json" 2>"$scratch/step"
[ $? = 1 ] || fail "a run with a clock that steps counts: $(cat "$scratch/step")"
grep -q 'c4 (rank 3): its clock stepped by' "$scratch/step" || fail "no word of the clock: $(cat "$scratch/step")"

step "no server, too few connections, no such option"
end_server
by_hand 4 http://$address:8081/f --duration 300ms 2>"$scratch/none" && fail "no server, and status 0"
grep -q "bakeoff-load: no connection to $address:8081 could be opened" "$scratch/none" || fail "$(cat "$scratch/none")"
by_hand 4 http://$address:8081/f --connections 3 2>"$scratch/few" && fail "three connections for four ranks"
grep -q 'bakeoff-load: 4 ranks of 1 threads share 3 connections' "$scratch/few" || fail "$(cat "$scratch/few")"
none_left "runs by hand"

# --- whole experiments ---

# A load lasts long enough that a rank can be found and killed in it on a slow machine, too.
specification() { # NAME SWEEP LINE...: in [resources]
  local name=$1 sweep=$2
  shift 2
  cat >"$scratch/$name.toml" <<END
[workload]
name = "single-file"
[load]
connections = 8
warmup = "100ms"
longest_warmup = "100ms"
duration = "3s"
timeout = "2s"
[trials]
sweep = $sweep
final = 0
ceiling = 0
others = 1000
repeats = 5
repeat_share = 10
[[server]]
architecture = "sped"
[resources]
agent = "$here/agent $scratch"
$(printf '%s\n' "$@")
END
}
run() { # NAME: its messages are in NAME.log, its results in NAME
  "$bin/bakeoff" run "$scratch/$1.toml" --out "$scratch/$1" >"$scratch/$1.out" 2>"$scratch/$1.log"
}
trials() { # NAME PYTHON: with t, the list of its trials
  python3 -c "import json,sys; t=[json.loads(l) for l in open(sys.argv[1])]; print(eval(sys.argv[2]))" \
    "$scratch/$1/trials.jsonl" "$2"
}

step "$kills trials lose a rank at a random moment"
specification lost $kills 'client_hosts = ["c1", "c2", "c3", "c4"]' "interface = \"hosts0\""
run lost &
harness=$!
killed=0
while wait_for_ranks 4; do
  moment 0.8
  mapfile -t all < <(ranks)
  if [ ${#all[@]} = 4 ] && kill -9 "${all[RANDOM % 4]}" 2>/dev/null; then killed=$((killed + 1)); fi
  until [ -z "$(ranks)" ]; do sleep 0.02; done
  # The repeat goes on.
  wait_for_ranks 4 || break
  until [ -z "$(ranks)" ]; do sleep 0.02; done
done
[ $killed -gt 0 ] || fail "no rank was killed: $(tail -n 3 "$scratch/lost.log")"
wait $harness || fail "a run whose ranks were killed: $(tail -n 3 "$scratch/lost.log")"
none_left "lost ranks"
[ "$(trials lost "sum(bool(one['void_causes']) for one in t)")" = $killed ] ||
  fail "$killed ranks were killed, and these trials are void: $(trials lost "[one['void_causes'] for one in t]")"
[ "$(trials lost "sum(not one['void_causes'] and not one['failures'] for one in t)")" = "$kills" ] ||
  fail "not every trial was repeated: $(trials lost "[(one['void_causes'], one['failures']) for one in t]")"
[ "$(trials lost "all('client host was lost' in cause for one in t for cause in one['void_causes'])")" = True ] ||
  fail "the causes are $(trials lost "[one['void_causes'] for one in t]")"
value "$scratch/lost/environment.json" "r['hosts']['c3']['interface']" | grep -q "'mtu': '1500'" ||
  fail "the hosts' interfaces are $(value "$scratch/lost/environment.json" "r['hosts']")"
[ -d "$(ls -d "$kits"/*/bin)" ] || fail "no kit"
"$here/agent" "$scratch" c4 "test -x $(ls -d "$kits"/*/bin)/bakeoff-load-ranks" || fail "nothing was copied to c4"

step "kill -9 of mpirun, and of the harness"
specification victim 1 'client_hosts = ["c1", "c2", "c3", "c4"]' "interface = \"10.77.1.0/24\""
"$bin/bakeoff" run "$scratch/victim.toml" --out "$scratch/victim" >"$scratch/victim.out" 2>"$scratch/victim.log" &
harness=$!
wait_for_ranks 4 || fail "no ranks: $(tail -n 3 "$scratch/victim.log")"
kill -9 "$(pgrep -P $harness mpirun)" || fail "no mpirun to kill"
until [ -z "$(ranks)" ]; do sleep 0.05; done
wait_for_ranks 4 || fail "a trial whose mpirun was killed is not repeated: $(tail -n 3 "$scratch/victim.log")"
kill -9 $harness
wait $harness 2>/dev/null
none_left "kill -9 of the harness"

step "a host that goes for good"
specification gone 2 'client_hosts = ["c1", "c4:2"]' "interface = \"hosts0\"" 'lost_host = "continue"'
run gone &
harness=$!
wait_for_ranks 3 || fail "no ranks: $(tail -n 3 "$scratch/gone.log")"
touch "$scratch/c4.down"
for pid in $(ranks); do
  [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink "/proc/$(cat "$scratch/c4.pid")/ns/net")" ] || kill -9 "$pid"
done
wait $harness || fail "a run that lost a host: $(tail -n 3 "$scratch/gone.log")"
grep -q 'host c4: agent: connect to host c4 .*; going on without it' "$scratch/gone.log" ||
  fail "$(cat "$scratch/gone.log")"
[ "$(trials gone "[one['evidence']['client_hosts'] for one in t if not one['void_causes']]")" = "[['c1'], ['c1']]" ] ||
  fail "the trials' hosts: $(trials gone "[one['evidence']['client_hosts'] for one in t]")"
[ "$(trials gone "sum(bool(one['void_causes']) for one in t)")" = 1 ] || fail "not one trial is void"
rm "$scratch/c4.down"

step "the server on another host than the harness"
specification afar 1 'server_host = "c1"' 'client_hosts = ["c2", "c3"]' 'interface = "eth0"'
run afar || fail "a server afar: $(tail -n 3 "$scratch/afar.log")"
[ "$(trials afar "[(one['void_causes'], one['evidence']['client_hosts']) for one in t]")" = "[([], ['c2', 'c3'])]" ] ||
  fail "a server afar: $(trials afar "[(one['void_causes'], one['failures']) for one in t]")"
[ "$(trials afar "t[0]['evidence']['ready']['address']")" = 10.77.1.2 ] || fail "the server was not on c1"
grep -q 'the run takes place on c1' "$scratch/afar.log" && grep -q sped "$scratch/afar.out" ||
  fail "$(cat "$scratch/afar.log")"
"$bin/bakeoff" run "$scratch/afar.toml" --out "$scratch/afar2" >/dev/null 2>&1 &
harness=$!
wait_for_ranks 2 || fail "no ranks of a server afar"
kill -9 $harness
wait $harness 2>/dev/null
none_left "kill -9 of a harness whose server is afar"

step "bad input"
refused() { # STATUS TEXT LINE...
  local status=$1 text=$2
  shift 2
  specification bad 1 "$@"
  rm -rf "$scratch/bad"
  run bad
  local got=$?
  [ $got = "$status" ] && grep -qF -- "$text" "$scratch/bad.log" ||
    fail "expected $status and '$text', got $got: $(cat "$scratch/bad.log")"
}
refused 4 'host c9: agent: Could not resolve hostname c9' 'client_hosts = ["c1", "c9"]' 'interface = "hosts0"'
refused 2 'the server'"'"'s host has no interface eth7; it has lo' 'client_hosts = ["c1"]' 'interface = "eth7"'
refused 2 'client hosts need the network between them and the server' 'client_hosts = ["c1"]'
ip addr add 10.99.0.1/16 dev hosts0
refused 4 'host c1 has no address in 10.99.0.0/16' 'client_hosts = ["c1"]' 'interface = "10.99.0.0/16"'
mkdir -p "$scratch/other"
printf '#!/bin/sh\necho "mpirun (Open MPI) 5.0.3"\n' >"$scratch/other/mpirun"
chmod +x "$scratch/other/mpirun"
echo "$scratch/other" >"$scratch/c2.path"
refused 4 'host c2 has mpirun (Open MPI) 5.0.3 and this one mpirun (Open MPI)' \
  'client_hosts = ["c1", "c2"]' 'interface = "hosts0"'
rm "$scratch/c2.path"
refused 2 '9 ranks of 1 threads need 9 connections or more' 'client_hosts = ["c1:9"]' 'interface = "hosts0"'
# A program of another architecture: the first bytes say so.
for kit in "$kits"/*/bin; do [ -e "$kit/bakeoff" ] || break; done  # clients have no bakeoff
"$here/agent" "$scratch" c3 "rm $kit/bakeoff-load && printf '\177ELF\002\001\001' >$kit/bakeoff-load &&
  chmod +x $kit/bakeoff-load"
refused 4 'host c3: ' 'client_hosts = ["c3"]' 'interface = "hosts0"'
step "another architecture: $(tail -n 1 "$scratch/bad.log")"
none_left "bad input"

if [ "$kills" -gt 2 ]; then
  step "a rank that hangs"
  specification hangs 1 'client_hosts = ["c1", "c2"]' 'interface = "hosts0"'
  run hangs &
  harness=$!
  wait_for_ranks 2 || fail "no ranks: $(tail -n 3 "$scratch/hangs.log")"
  kill -STOP "$(ranks | tail -n 1)"
  wait $harness || fail "a run with a rank that hung: $(tail -n 3 "$scratch/hangs.log")"
  [ "$(trials hangs "[len(one['void_causes']) for one in t]")" = "[1, 0]" ] ||
    fail "hangs: $(trials hangs "[one['void_causes'] for one in t]")"
  step "$(trials hangs "t[0]['void_causes'][0]")"
  none_left "a rank that hung"
  if command -v nft >/dev/null; then
    step "a firewall that drops MPI's messages"
    "$here/agent" "$scratch" c1 "nft add table ip t && nft 'add chain ip t i { type filter hook input priority 0; }' &&
      nft add rule ip t i tcp dport 18100-18199 drop" || fail "no firewall"
    specification wall 1 'client_hosts = ["c1", "c2"]' 'interface = "hosts0"'
    sed -i 's/^repeats.*/repeats = 0/' "$scratch/wall.toml"
    run wall
    cause=$(trials wall "t[0]['void_causes'][0]")
    step "$cause"
    grep -q 'nothing came from c2 (rank 1) within 20 s: it hangs, or a firewall drops TCP ports 18100 to 18199' \
      <<<"$cause" || fail "a firewall: $(cat "$scratch/wall.log")"
    none_left "a firewall"
  fi
fi
step "done"
