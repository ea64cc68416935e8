// One option of a server as data: its name, its text for --help and --describe, how it is read, and how its value is
// written into a result. Options that all servers share are rows in options.cpp; options of one architecture are rows
// in its file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bakeoff {

struct OptionRow {
  std::string name;   // as typed, without the dashes
  std::string value;  // what stands for the value in the help: "N", "TIME", "on|off"
  std::string help;
  // The values that it takes, the default first; empty: it takes what `value` says.
  std::vector<std::string> choices = {};
  // `text` is one of the choices, where there are any. Throws UsageError.
  std::function<void(const std::string& text)> read = {};
  // Adds the value under the key that results have for it.
  std::function<void(nlohmann::ordered_json& values)> write = {};
  bool applies = true;  // false: it means nothing to this architecture
};

// Rows that read into `target` and write from it; `target` holds the default and outlives the row. The key in results
// is the name with underscores, and with the unit where there is one.

OptionRow number_option(std::string name, std::string help, int& target, long long least, long long most);
OptionRow switch_option(std::string name, std::string help, bool& target);
// "300ms", "15s", "2m".
OptionRow duration_option(std::string name, std::string help, std::int64_t& target_ms);
// "4096", "64K", "128M" (powers of 1024).
OptionRow size_option(std::string name, std::string help, std::uint64_t& target_bytes);

// One of the named values. `names`: the default first.
OptionRow choice_option(std::string name, std::string help, std::vector<std::string> names,
                        std::function<void(std::size_t chosen)> choose, std::function<std::size_t()> chosen);
template <class T>
OptionRow choice_option(std::string name, std::string help, T& target,
                        const std::vector<std::pair<T, std::string>>& all) {
  std::vector<T> values;
  std::vector<std::string> names;
  for (const auto& [value, its_name] : all) {
    values.push_back(value);
    names.push_back(its_name);
  }
  return choice_option(
      std::move(name), std::move(help), std::move(names), [&target, values](std::size_t i) { target = values[i]; },
      [&target, values] {
        std::size_t i = 0;
        while (i < values.size() && values[i] != target) ++i;
        return i;
      });
}

// A whole number from `least` to `most`; throws UsageError, which names the option.
long long parse_number(const std::string& option, const std::string& text, long long least, long long most);

// The key in results: "cache-valid" with the unit "ms" is cache_valid_ms.
std::string result_key(std::string_view name, std::string_view unit = {});

}  // namespace bakeoff
