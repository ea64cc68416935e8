#!/usr/bin/env bash
# What the build looks for, the front door installs: every find_package() and pkg_check_modules() of the tree has its
# Debian package in ./bakeoff, so that a machine with nothing but bash and apt can build.
set -euo pipefail
cd -- "$1"  # the source
declare -A package=(
  [Threads]=libc6-dev [PkgConfig]=pkg-config [Boost]='boost_package' [nlohmann_json]=nlohmann-json3-dev [fmt]=libfmt-dev
  [tomlplusplus]=libtomlplusplus-dev [ZLIB]=zlib1g-dev [BZip2]=libbz2-dev [LibLZMA]=liblzma-dev
  [LibArchive]=libarchive-dev
  [OpenSSL]=libssl-dev [fuse3]=libfuse3-dev [Catch2]=catch2
  [MPI]=libopenmpi-dev)
status=0
fail() {
  printf '%s\n' "$1" >&2
  status=1
}
floors=(core architectures workloads results harness tests)
looked_for=$(find CMakeLists.txt "${floors[@]}" -name CMakeLists.txt -exec cat {} + |
  sed -nE 's/^ *(find_package|pkg_check_modules)\((\w+).*/\2/p' | sort -u)
[[ -n $looked_for ]] || fail 'no find_package() was found: this test looks in the wrong place'
# What a build does without comes with the tests' tools.
installed=$(sed -nE '/^see_to_(prerequisites|test_tools)\(\)/,/^}/p' bakeoff)
for name in $looked_for; do
  if [[ -z ${package[$name]-} ]]; then
    fail "CMake looks for $name: write its Debian package into $0 and into the lists of ./bakeoff"
  elif ! grep -qF -- "${package[$name]}" <<<"$installed"; then
    fail "./bakeoff does not install ${package[$name]}, which CMake looks for as $name"
  fi
done
# Libraries of headers alone, which CMake does not look for.
for pair in valijson:libvalijson-dev boost:boost_package; do
  if grep -rqE "^#include <${pair%%:*}/" --include=*.h --include=*.cpp "${floors[@]}" &&
    ! grep -qF -- "${pair#*:}" <<<"$installed"; then
    fail "./bakeoff does not install ${pair#*:}, whose headers are included as <${pair%%:*}/>"
  fi
done
exit $status
