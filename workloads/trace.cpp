// A real server's log asked for again: its files by their sizes, in the order of the log and, if wanted, at its times.
#include <algorithm>
#include <unordered_map>

#include "core/base/errors.h"
#include "workloads/access_log.h"
#include "workloads/kinds.h"

namespace bakeoff {

namespace {

// The name's extension where it is one, because servers choose the MIME type by it.
std::string suffix_of(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  const std::size_t dot = target.rfind('.');
  if (dot == std::string_view::npos) return "";
  const std::string_view suffix = target.substr(dot);
  const bool plain = std::all_of(suffix.begin() + 1, suffix.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
  return suffix.size() < 2 || suffix.size() > 6 || !plain ? std::string() : std::string(suffix);
}

// Logs have whole seconds, and a request is logged when it ends: times are made to rise, and the requests of one second are
// spread evenly over it, so that a replay has no bursts that the log does not tell of.
std::vector<double> spread(const std::vector<std::int64_t>& times_s) {
  std::vector<double> spread_s;
  spread_s.reserve(times_s.size());
  for (std::size_t begin = 0; begin < times_s.size();) {
    std::size_t end = begin;
    while (end < times_s.size() && times_s[end] <= times_s[begin]) ++end;
    for (std::size_t i = begin; i < end; ++i) {
      spread_s.push_back(static_cast<double>(times_s[begin] - times_s.front()) + static_cast<double>(i - begin) / static_cast<double>(end - begin));
    }
    begin = end;
  }
  return spread_s;
}

std::string counted(std::uint64_t count, const char* what) { return std::to_string(count) + " " + what + (count == 1 ? "" : "s"); }

}  // namespace

void build_trace(const TomlTable& table, Workload& workload) {
  if (!table.has("log")) table.fail("log", "expected the access log to replay (--set log=FILE)");
  const std::filesystem::path log = table.string("log");
  const bool timed = table.boolean("timing", false);
  const auto most = static_cast<std::uint64_t>(table.integer("requests", {1, std::int64_t{1} << 40}, std::int64_t{1} << 40));

  std::unordered_map<std::string, std::uint32_t> index;
  std::vector<std::uint64_t> sizes_bytes;
  std::vector<std::string> suffixes;
  std::vector<std::uint32_t> order;
  std::vector<std::int64_t> times_s;
  std::uint64_t skipped = 0;
  const LogReading reading = read_access_log(log, [&](const LogEntry& entry) {
    // What else was asked for has no body, or one that no file of ours stands for.
    if (entry.method != "GET" || entry.status != 200) {
      ++skipped;
      return true;
    }
    const auto [found, added] = index.emplace(entry.target, static_cast<std::uint32_t>(sizes_bytes.size()));
    if (added) {
      sizes_bytes.push_back(0);
      suffixes.push_back(suffix_of(entry.target));
    }
    // Transfers that were broken off are logged shorter: the longest is the file's size.
    std::uint64_t& size = sizes_bytes[found->second];
    size = std::max(size, static_cast<std::uint64_t>(entry.body_bytes));
    order.push_back(found->second);
    if (timed) times_s.push_back(entry.time_s);
    return order.size() < most;
  });

  if (order.empty()) {
    table.fail("log", "expected an access log in Common or Combined Log Format; " + log.string() + " has " + counted(reading.lines, "line") + " and no GET that was answered with 200");
  }
  std::string note = log.string() + ": " + counted(order.size(), "request") + " of " + counted(sizes_bytes.size(), "file") + " in " + counted(reading.lines, "line");
  if (skipped > 0) note += "; " + counted(skipped, "line") + " of other methods or statuses skipped";
  if (reading.broken > 0) note += "; " + counted(reading.broken, "broken line") + " skipped";
  if (reading.truncated) note += "; the compressed data is cut short or damaged, what came before was taken";
  workload.notes.push_back(note);

  if (timed) workload.arrivals_s = std::make_shared<const std::vector<double>>(spread(times_s));
  const auto file_count = static_cast<std::uint32_t>(sizes_bytes.size());
  add_files(workload, sizes_bytes, Popularity::in_order(std::move(order), file_count), suffixes);
}

}  // namespace bakeoff
