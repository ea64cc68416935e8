#include "core/option_row.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/units.h"

namespace bakeoff {

long long parse_number(const std::string& option, const std::string& text, long long least, long long most) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && least == most && value != least) {
    throw UsageError("--" + option + "=" + text + " is not possible: it is always " + std::to_string(least) +
                     " here; leave it out");
  }
  if (!whole || value < least || value > most) {
    throw UsageError("--" + option + "=" + text + " is not a whole number from " + std::to_string(least) + " to " +
                     std::to_string(most));
  }
  return value;
}

std::string result_key(std::string_view name, std::string_view unit) {
  std::string key(name);
  std::replace(key.begin(), key.end(), '-', '_');
  if (unit.empty() || key.ends_with("_" + std::string(unit))) return key;
  return key + "_" + std::string(unit);
}

OptionRow number_option(std::string name, std::string help, int& target, long long least, long long most) {
  OptionRow row{name, "N", std::move(help)};
  row.read = [=, &target](const std::string& text) {
    target = static_cast<int>(parse_number(name, text, least, most));
  };
  row.write = [=, &target](nlohmann::ordered_json& values) { values[result_key(name)] = target; };
  return row;
}

OptionRow switch_option(std::string name, std::string help, bool& target) {
  OptionRow row{name, "on|off", std::move(help)};
  row.choices = target ? std::vector<std::string>{"on", "off"} : std::vector<std::string>{"off", "on"};
  row.read = [&target](const std::string& text) { target = text == "on"; };
  row.write = [=, &target](nlohmann::ordered_json& values) { values[result_key(name)] = target; };
  return row;
}

OptionRow duration_option(std::string name, std::string help, std::int64_t& target_ms) {
  OptionRow row{name, "TIME", std::move(help)};
  row.read = [&target_ms](const std::string& text) { target_ms = parse_duration_ms(text); };
  row.write = [=, &target_ms](nlohmann::ordered_json& values) { values[result_key(name, "ms")] = target_ms; };
  return row;
}

OptionRow size_option(std::string name, std::string help, std::uint64_t& target_bytes) {
  OptionRow row{name, "SIZE", std::move(help)};
  row.read = [&target_bytes](const std::string& text) { target_bytes = parse_size_bytes(text); };
  row.write = [=, &target_bytes](nlohmann::ordered_json& values) { values[result_key(name, "bytes")] = target_bytes; };
  return row;
}

OptionRow choice_option(std::string name, std::string help, std::vector<std::string> names,
                        std::function<void(std::size_t chosen)> choose, std::function<std::size_t()> chosen) {
  OptionRow row{name, "NAME", std::move(help)};
  row.choices = std::move(names);
  row.applies = !row.choices.empty();
  row.read = [choices = row.choices, choose = std::move(choose)](const std::string& text) {
    const auto place = std::find(choices.begin(), choices.end(), text);
    BAKEOFF_CHECK(place != choices.end());
    choose(static_cast<std::size_t>(place - choices.begin()));
  };
  row.write = [=, choices = row.choices, chosen = std::move(chosen)](nlohmann::ordered_json& values) {
    values[result_key(name)] = choices.at(chosen());
  };
  return row;
}

}  // namespace bakeoff
