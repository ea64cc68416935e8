#!/usr/bin/env bash
# Lines end with a line feed alone, and so does a file's last line. What clang-format leaves alone: no line of source is
# above 120 columns, texts have no blanks at the ends of lines, a header begins with #pragma once after the comment that
# says what it is for.
set -euo pipefail
cd -- "$1"  # the source
status=0
complain() {  # MESSAGE, with file:line before each line of standard input
  local place
  while IFS= read -r place; do
    printf '%s: %s\n' "$place" "$1" >&2
    status=1
  done
}
places() { cut -d: -f1,2; }

trees=(core architectures workloads results harness tests cmake)
mapfile -t sources < <(find "${trees[@]}" \( -name '*.h' -o -name '*.cpp' \))
mapfile -t code < <(find CMakeLists.txt bakeoff .ci "${trees[@]}" -type f \
  \( ! -name '*.*' -o -name '*.h' -o -name '*.cpp' -o -name '*.in' -o -name '*.cmake' -o -name '*.txt' -o -name '*.sh' \
  -o -name '*.css' -o -name '*.js' \))
mapfile -t texts < <(find CMakePresets.json README.md "${trees[@]}" -type f \( -name '*.md' -o -name '*.toml' \))
texts+=("${code[@]}")
((${#sources[@]} > 100)) || { echo 'no sources were found: this test looks in the wrong place' >&2; exit 1; }

complain 'a carriage return' < <(grep -n $'\r' -- "${texts[@]}" | places)
complain 'above 120 columns' < <(LC_ALL=C.UTF-8 grep -nE '^.{121}' -- "${code[@]}" | places)
complain 'blanks at the end of the line' < <(grep -nE '[[:blank:]]+$' -- "${texts[@]}" |
  grep -vE '^[^:]*\.(h|cpp):' | places)
for file in "${texts[@]}"; do
  [[ ! -s $file || -z $(tail -c 1 -- "$file") ]] || complain 'the last line does not end' <<<"$file"
done
for file in "${sources[@]}"; do
  [[ $file == *.h ]] || continue
  [[ $(grep -m 1 -vE '^(//.*)?$' -- "$file") == '#pragma once' ]] ||
    complain 'a header begins with #pragma once' <<<"$file"
done
exit $status
