// Replays a real server's log: its files by their sizes, in the order of the log and, if wanted, at its times.
#include <algorithm>
#include <cmath>
#include <numeric>
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
  const bool plain = std::all_of(suffix.begin() + 1, suffix.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
  return suffix.size() < 2 || suffix.size() > 6 || !plain ? std::string() : std::string(suffix);
}

// The times of requests in seconds from the first, for times that do not fall. Most logs have whole seconds: the
// requests of one second are spread evenly over it, so that a replay has no bursts that the log does not tell of.
std::vector<double> spread(const std::vector<double>& times_s, double speed) {
  const bool whole =
      std::all_of(times_s.begin(), times_s.end(), [](double time_s) { return time_s == std::floor(time_s); });
  std::vector<double> spread_s;
  spread_s.reserve(times_s.size());
  for (std::size_t begin = 0; begin < times_s.size();) {
    std::size_t end = begin;
    while (end < times_s.size() && times_s[end] == times_s[begin]) ++end;
    for (std::size_t i = begin; i < end; ++i) {
      const double within_s = whole ? static_cast<double>(i - begin) / static_cast<double>(end - begin) : 0;
      spread_s.push_back((times_s[begin] - times_s.front() + within_s) / speed);
    }
    begin = end;
  }
  return spread_s;
}

// Writers that buffer, merged logs and clocks that were set leave lines that are earlier than those before them. Sorts
// the requests by time, those of one time in the order of the log; returns how many were earlier than one before them.
std::uint64_t sort_by_time(std::vector<double>& times_s, std::vector<std::uint32_t>& files) {
  std::uint64_t out_of_order = 0;
  double latest_s = -HUGE_VAL;
  for (const double time_s : times_s) {
    out_of_order += time_s < latest_s;
    latest_s = std::max(latest_s, time_s);
  }
  if (out_of_order == 0) return 0;
  std::vector<std::uint32_t> order(times_s.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return times_s[a] < times_s[b]; });
  std::vector<double> sorted_times_s;
  std::vector<std::uint32_t> sorted_files;
  for (const std::uint32_t at : order) {
    sorted_times_s.push_back(times_s[at]);
    sorted_files.push_back(files[at]);
  }
  times_s = std::move(sorted_times_s);
  files = std::move(sorted_files);
  return out_of_order;
}

std::string counted(std::uint64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

void build_trace(const TomlTable& table, Workload& workload) {
  if (!table.has("log")) table.fail("log", "expected the access log to replay (--set log=FILE)");
  const std::filesystem::path log = table.string("log");
  const bool timed = table.boolean("timing", false);
  const double speed = table.number("speed", {1e-6, 1e9}, 1);
  if (speed != 1 && !timed) table.fail("speed", "it scales the log's own times; set timing = true too");
  // So many that a log without end is noticed before memory is full.
  constexpr std::int64_t most_requests = 250'000'000;
  const auto most = static_cast<std::uint64_t>(table.integer("requests", {1, most_requests}, most_requests));

  std::unordered_map<std::string, std::uint32_t> index;
  std::vector<std::uint64_t> sizes_bytes;
  std::vector<std::string> suffixes;
  std::vector<std::uint32_t> order;
  std::vector<double> times_s;
  LogSummary summary;
  const LogReading reading = read_access_log(log, [&](const LogEntry& entry) {
    // What else was asked for has no body, or one that no file of ours stands for.
    if (entry.method != "GET" || entry.status != 200) {
      ++(entry.method != "GET" ? summary.other_methods : summary.other_statuses);
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
    table.fail("log", "expected an access log in Common or Combined Log Format or of JSON lines; " + log.string() +
                          " has " + counted(reading.lines, "line") + " and no GET that was answered with 200");
  }
  summary.file = log.string();
  summary.lines = reading.lines;
  summary.requests = order.size();
  summary.broken = reading.broken;
  summary.cut_short = reading.truncated;
  if (timed) {
    summary.out_of_order = sort_by_time(times_s, order);
    summary.length_s = times_s.back() - times_s.front();
    summary.speed = speed;
    workload.arrivals_s = std::make_shared<const std::vector<double>>(spread(times_s, speed));
  }
  std::string note = log.string() + ": " + counted(order.size(), "request") + " of " +
                     counted(sizes_bytes.size(), "file") + " in " + counted(reading.lines, "line");
  const auto add = [&](std::uint64_t count, const char* what, const char* then) {
    if (count > 0) note += "; " + counted(count, what) + then;
  };
  add(summary.other_methods, "line", " of other methods than GET skipped");
  add(summary.other_statuses, "line", " of other statuses than 200 skipped");
  add(summary.broken, "broken line", " skipped");
  add(summary.out_of_order, "line", " out of order by time, sorted");
  if (order.size() == most && !table.has("requests")) note += "; no more than that is taken";
  if (reading.truncated) note += "; the compressed data is cut short or damaged, what came before was taken";
  workload.notes.push_back(note);
  workload.log = summary;

  const auto file_count = static_cast<std::uint32_t>(sizes_bytes.size());
  add_files(workload, sizes_bytes, Popularity::in_order(std::move(order), file_count), suffixes);
}

}  // namespace bakeoff
