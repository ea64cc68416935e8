// Where a server's CPU time goes, in the categories of Pariag's Table 1: perf's samples, charged by a table of symbols
// (harness/profile/symbols.toml).
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/processes/reactor.h"
#include "results/model.h"

namespace bakeoff {

struct Frame {
  std::string symbol;  // "[unknown]" where perf knows none
  bool kernel = false;
};
using Stack = std::vector<Frame>;  // innermost first

// The output of perf script -F comm,tid,ip,sym,dso.
std::vector<Stack> parse_perf_script(const std::string& text);

class SymbolTable {
 public:
  // UsageError for what is wrong in it.
  static SymbolTable parse(const std::string& text, const std::string& name);
  static SymbolTable load();  // the shipped one. BLOCKS: disk.

  // The category that a sample is charged to; "other" when nothing in its stack is known.
  std::string category_of(const Stack& stack) const;
  // The frame that decided, for lists of the dearest functions.
  std::string charged_symbol(const Stack& stack) const;
  std::vector<std::string> categories() const;  // in the table's order, "other" last

 private:
  struct Category {
    std::string name;
    std::vector<std::string> patterns;
    bool user = false;
  };
  struct Charge {
    std::string category;
    std::string symbol;
  };
  Charge charge(const Stack& stack) const;

  std::vector<std::string> skid_;
  std::vector<Category> categories_;
};

// {"samples": n, "shares": {category: share}, "dearest": [[symbol, category, share], ...]}
nlohmann::json breakdown(const SymbolTable& table, const std::vector<Stack>& stacks);

// Watches processes for a while. Both fill in their part of `profile`, or null and the cause under "unavailable".
// BLOCKS: `seconds`, and perf's own time.
void sample_stacks(Reactor& reactor, const std::vector<pid_t>& processes, double seconds,
                   const std::filesystem::path& scratch, nlohmann::json& profile);
// system_calls_per_s. Apart from sampling, since counting costs each call something that samples must not show.
void count_system_calls(Reactor& reactor, const std::vector<pid_t>& processes, double seconds,
                        const std::filesystem::path& scratch, nlohmann::json& profile);

// The shares of each server's best cell, the mean over its trials, as a table; empty when nothing was profiled.
std::string profile_table(const ExperimentResult& result);

}  // namespace bakeoff
