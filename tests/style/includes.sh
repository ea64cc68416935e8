#!/usr/bin/env bash
# Own headers are included by their whole path and exist. A floor includes only from floors below it, and so do its
# tests. A room includes only from the rooms that its add_room() names, and names none that it does not include from:
# the compiler also finds what those rooms themselves use.
set -euo pipefail
cd -- "$1"  # the source
uses=$2     # a line a room: "harness/plan: results core/base"
status=0
fail() {
  printf '%s\n' "$1" >&2
  status=1
}

declare -A floor=([core]=1 [architectures]=2 [workloads]=2 [results]=2 [harness]=3 [tests]=4) named=() found=()
while IFS=: read -r room used; do named[$room]="$used "; done <"$uses"
((${#named[@]} > 5)) || fail "$uses names hardly any rooms"

room_of() {  # FILE; sets room: the longest folder of it that is a room
  room=${1%/*}
  while [[ -z ${named[$room]-} && $room == */*/* ]]; do room=${room%/*}; done
}

while IFS=: read -r file header; do
  if [[ ! -e $header ]]; then
    fail "$file includes \"$header\": own headers are included by their path from the source folder"
    continue
  fi
  from=${file%%/*} to=${header%%/*}
  if [[ $to != tests && $file =~ ^tests/(core|architectures|workloads|results|harness)/ ]]; then
    from=${BASH_REMATCH[1]}
  fi
  if [[ $from != "$to" && $to != tests && ($file != tests/* || $to != workloads) ]] &&
    ((floor[$to] >= floor[$from])); then
    fail "$file includes $header: $from stands below $to, or beside it"
  fi
  [[ $file != tests/* && $file != */main.cpp ]] || continue
  room_of "$header"; there=$room
  room_of "$file"
  [[ -n ${named[$room]-} && $there != "$room" ]] || continue
  [[ ${named[$room]} == *" $there "* ]] || fail "$file includes $header: add_room($room) does not name $there"
  found["$room $there"]=yes
done < <(grep -roE '^#include "[^"]+"' --include=*.h --include=*.cpp \
  core architectures workloads results harness tests | sed -E 's/#include "([^"]+)"/\1/')

for room in "${!named[@]}"; do
  for there in ${named[$room]}; do
    [[ -n ${found["$room $there"]-} ]] || fail "add_room($room) names $there, from which it includes nothing"
  done
done
exit $status
