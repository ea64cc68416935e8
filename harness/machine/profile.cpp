#include "harness/machine/profile.h"

#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/toml/strict_toml.h"
#include "harness/machine/process_probe.h"
#include "harness/processes/child.h"

namespace bakeoff {
namespace {

using nlohmann::json;

constexpr int samples_per_s = 997;  // prime: not in step with anything that is done a round number of times a second
constexpr std::size_t dearest_count = 15;
constexpr const char* no_category = "other";
constexpr const char* no_perf = "perf is not installed; on Debian: apt-get install linux-perf";
constexpr double patience_s = 60;  // beyond the time asked for

bool matches(const std::vector<std::string>& patterns, const std::string& symbol) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return fnmatch(pattern.c_str(), symbol.c_str(), 0) == 0; });
}

// Empty when it is not installed.
std::string find_program(const std::string& name) {
  std::istringstream path(std::getenv("PATH") == nullptr ? "/usr/bin:/bin" : std::getenv("PATH"));
  for (std::string dir; std::getline(path, dir, ':');) {
    const std::string program = dir + "/" + name;
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

std::string list_of(const std::vector<pid_t>& processes) {
  std::string list;
  for (const pid_t pid : processes) list += (list.empty() ? "" : ",") + std::to_string(pid);
  return list;
}

std::string seconds_text(double seconds) { return fmt::format("{:.3f}", seconds); }

std::string first_line_in(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

std::vector<Stack> parse_perf_script(const std::string& text) {
  std::vector<Stack> stacks;
  bool begun = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) {
      begun = false;
      continue;
    }
    const bool is_frame = line[0] == ' ' || line[0] == '\t';
    if (!is_frame || !begun) {
      begun = true;
      stacks.emplace_back();
      if (!is_frame) continue;  // the sample's own line: who it was
    }
    // "    ffffffff821ef666 do_syscall_64 ([kernel.kallsyms])"; a symbol may have blanks, the object may not
    const std::size_t address = line.find_first_not_of(" \t"), symbol = line.find(' ', address),
                      object = line.rfind(" (");
    if (symbol == std::string::npos || object == std::string::npos || object <= symbol) continue;
    const std::string of = line.substr(object + 2);
    stacks.back().push_back({line.substr(symbol + 1, object - symbol - 1), of.starts_with("[kernel") ||
                                                                               of.starts_with("[guest") ||
                                                                               of.find(".ko") != std::string::npos});
  }
  stacks.erase(std::remove_if(stacks.begin(), stacks.end(), [](const Stack& stack) { return stack.empty(); }),
               stacks.end());
  return stacks;
}

SymbolTable SymbolTable::parse(const std::string& text, const std::string& name) {
  TomlDocument document = TomlDocument::parse(text, name);
  const TomlTable root = document.root();
  SymbolTable table;
  table.skid_ = root.strings("skid", {});
  for (const TomlTable& one : root.tables("category")) {
    table.categories_.push_back({one.string("name"), one.strings("symbols", {}), one.boolean("user", false)});
    if (table.categories_.back().patterns.empty() && !table.categories_.back().user)
      one.fail("symbols", "expected patterns of symbols, or user = true");
  }
  document.finish();
  return table;
}

SymbolTable SymbolTable::load() {
  const TomlDocument document = TomlDocument::load(data_dir() / "harness" / "profile" / "symbols.toml");
  return parse(document.source_text(), document.name());
}

SymbolTable::Charge SymbolTable::charge(const Stack& stack) const {
  std::string innermost;
  for (const Frame& frame : stack) {
    if (matches(skid_, frame.symbol)) continue;
    if (innermost.empty()) innermost = frame.symbol;
    for (const Category& category : categories_) {
      if (matches(category.patterns, frame.symbol)) return {category.name, frame.symbol};
    }
    // Nothing that the kernel does is the application, however it was called.
    if (frame.kernel) continue;
    for (const Category& category : categories_) {
      if (category.user) return {category.name, frame.symbol};
    }
  }
  return {no_category, innermost.empty() ? stack.front().symbol : innermost};
}

std::string SymbolTable::category_of(const Stack& stack) const {
  return stack.empty() ? no_category : charge(stack).category;
}
std::string SymbolTable::charged_symbol(const Stack& stack) const { return stack.empty() ? "" : charge(stack).symbol; }

std::vector<std::string> SymbolTable::categories() const {
  std::vector<std::string> names;
  for (const Category& category : categories_) names.push_back(category.name);
  names.emplace_back(no_category);
  return names;
}

json breakdown(const SymbolTable& table, const std::vector<Stack>& stacks) {
  std::map<std::string, std::size_t> categories;
  std::map<std::pair<std::string, std::string>, std::size_t> symbols;
  for (const std::string& name : table.categories()) categories[name] = 0;
  for (const Stack& stack : stacks) {
    const std::string category = table.category_of(stack);
    ++categories[category];
    ++symbols[{table.charged_symbol(stack), category}];
  }
  const auto share = [&](std::size_t count) {
    return static_cast<double>(count) / static_cast<double>(std::max<std::size_t>(stacks.size(), 1));
  };
  json shares = json::object(), dearest = json::array();
  for (const auto& [name, count] : categories) shares[name] = share(count);
  std::vector<std::pair<std::size_t, std::pair<std::string, std::string>>> by_count;
  for (const auto& [symbol, count] : symbols) by_count.emplace_back(count, symbol);
  std::sort(by_count.rbegin(), by_count.rend());
  for (std::size_t i = 0; i < std::min(by_count.size(), dearest_count); ++i) {
    dearest.push_back({by_count[i].second.first, by_count[i].second.second, share(by_count[i].first)});
  }
  return {{"samples", stacks.size()}, {"shares", shares}, {"dearest", dearest}};
}

void sample_stacks(Reactor& reactor, const std::vector<pid_t>& processes, double seconds,
                   const std::filesystem::path& scratch, json& profile) {
  profile.update({{"samples", nullptr}, {"shares", nullptr}, {"dearest", nullptr}});
  const std::string perf = find_program("perf");
  if (perf.empty()) {
    profile["unavailable"]["shares"] = no_perf;
    return;
  }
  const std::string file = (scratch / "perf.data").string();
  try {
    output_of(reactor,
              {{perf, "record", "-q", "-e", "cpu-clock", "-F", std::to_string(samples_per_s), "-g", "-p",
                list_of(processes), "-o", file, "--", "sleep", seconds_text(seconds)},
               {}},
              seconds + patience_s);
    const std::string script =
        output_of(reactor, {{perf, "script", "-i", file, "-F", "comm,tid,ip,sym,dso"}, {}}, patience_s);
    const std::vector<Stack> stacks = parse_perf_script(script);
    if (stacks.empty()) {
      profile["unavailable"]["shares"] = "perf took no samples";
    } else {
      profile.update(breakdown(SymbolTable::load(), stacks));
    }
  } catch (const StartError& error) {
    profile["unavailable"]["shares"] = first_line_in(error.what());
  }
}

void count_system_calls(Reactor& reactor, const std::vector<pid_t>& processes, double seconds,
                        const std::filesystem::path& scratch, json& profile) {
  profile["system_calls_per_s"] = nullptr;
  const std::string perf = find_program("perf");
  if (perf.empty()) {
    profile["unavailable"]["system_calls_per_s"] = no_perf;
    return;
  }
  const std::string file = (scratch / "perf.stat").string();
  try {
    output_of(reactor,
              {{perf, "stat", "-x", ";", "-o", file, "-e", "raw_syscalls:sys_enter", "-p", list_of(processes), "--",
                "sleep", seconds_text(seconds)},
               {}},
              seconds + patience_s);
    std::istringstream lines(read_small_file(file).value_or(""));
    for (std::string line; std::getline(lines, line);) {
      char* end = nullptr;
      const double count = std::strtod(line.c_str(), &end);  // "12345;;raw_syscalls:sys_enter;..."
      if (line.find("raw_syscalls") != std::string::npos && end != line.c_str())
        profile["system_calls_per_s"] = count / seconds;
    }
    if (profile["system_calls_per_s"].is_null()) profile["unavailable"]["system_calls_per_s"] = "perf counted none";
  } catch (const StartError& error) {
    profile["unavailable"]["system_calls_per_s"] =
        std::string("perf cannot count them (is tracefs mounted at /sys/kernel/tracing?): ") +
        first_line_in(error.what());
  }
}

std::string profile_table(const ExperimentResult& result) {
  std::vector<std::string> categories = SymbolTable::load().categories();
  std::string rows;
  for (const Best& best : result.best) {
    const auto cell = std::find_if(result.cells.begin(), result.cells.end(),
                                   [&](const CellResult& one) { return one.cell.id == best.cell_id; });
    if (cell == result.cells.end()) continue;
    std::map<std::string, double> sums;
    double calls = 0, profiles = 0, counted = 0;
    for (const Trial& trial : cell->trials) {
      const json profile = trial.evidence.is_object() ? trial.evidence.value("profile", json()) : json();
      if (!profile.is_object()) continue;
      if (profile.at("shares").is_object()) {
        ++profiles;
        for (const std::string& name : categories) sums[name] += profile.at("shares").value(name, 0.0);
      }
      if (profile.contains("system_calls_per_reply") && profile["system_calls_per_reply"].is_number()) {
        ++counted;
        calls += profile["system_calls_per_reply"].get<double>();
      }
    }
    if (profiles == 0 && counted == 0) continue;
    rows += fmt::format("  {:<24}", best.server);
    for (const std::string& name : categories) {
      rows += profiles > 0 ? fmt::format("  {:{}.1f}", 100 * sums[name] / profiles, name.size())
                           : fmt::format("  {:>{}}", "-", name.size());
    }
    rows += counted > 0 ? fmt::format("  {:18.1f}\n", calls / counted) : fmt::format("  {:>18}\n", "-");
  }
  if (rows.empty()) return "";
  std::string head = "  " + std::string(24, ' ');
  for (const std::string& name : categories) head += "  " + name;
  return "Where each server's CPU time went in its best cell, in % of perf's samples (Pariag 2007, Table 1).\n\n" +
         head + "  system calls/reply\n" + rows;
}

}  // namespace bakeoff
