#include "harness/load/report.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <numeric>

namespace bakeoff {

namespace {

using Json = nlohmann::ordered_json;

constexpr double most_cpu_share = 0.95;
constexpr double little_tolerance = 0.05;
constexpr double least_achieved = 0.99;

double seconds(std::int64_t ns) { return static_cast<double>(ns) * 1e-9; }

std::uint64_t opened_slots(const Recorder& recorder) {
  return static_cast<std::uint64_t>(std::count_if(recorder.slots().begin(), recorder.slots().end(),
                                                  [](const SlotTally& slot) { return slot.opened; }));
}

std::uint64_t replied_slots(const Recorder& recorder) {
  return static_cast<std::uint64_t>(std::count_if(recorder.slots().begin(), recorder.slots().end(),
                                                  [](const SlotTally& slot) { return slot.replies > 0; }));
}

double busiest_worker_share(const LoadResult& result) {
  double most_s = 0;
  for (const double cpu_s : result.worker_cpu_s) most_s = std::max(most_s, cpu_s);
  return result.duration_s > 0 ? most_s / result.duration_s : 0;
}

double cpu_of(const LoadResult& result) {
  return std::accumulate(result.worker_cpu_s.begin(), result.worker_cpu_s.end(), 0.0);
}

double milliseconds(std::int64_t ns) { return static_cast<double>(ns) * 1e-6; }

// " reset 3, bad_status 1"
std::string list_of_errors(const Recorder& recorder) {
  std::string text;
  for (std::size_t i = 0; i < load_error_count; ++i)
    if (const auto error = static_cast<LoadError>(i); recorder.errors(error) != 0)
      text += fmt::format("{} {} {}", text.empty() ? "" : ",", name_of(error), recorder.errors(error));
  return text;
}

Json latency_json(const Histogram& histogram) {
  Json json;
  const auto put = [&](const char* name, double ns) {
    json[name] = histogram.count() == 0 ? Json(nullptr) : Json(ns * 1e-6);
  };
  put("mean", histogram.mean_ns());
  put("p50", static_cast<double>(histogram.percentile_ns(0.5)));
  put("p90", static_cast<double>(histogram.percentile_ns(0.9)));
  put("p99", static_cast<double>(histogram.percentile_ns(0.99)));
  put("p999", static_cast<double>(histogram.percentile_ns(0.999)));
  put("max", static_cast<double>(histogram.max_ns()));
  return json;
}

Json verdict_json(const Verdict& verdict) {
  return {{"valid", verdict.valid()}, {"kind", name_of(verdict.kind)}, {"reasons", verdict.reasons}};
}

Json log_json(const LoadSpec& spec) {
  if (!spec.workload || !spec.workload->log) return nullptr;
  const LogSummary& log = *spec.workload->log;
  return {{"file", log.file},
          {"lines", log.lines},
          {"requests", log.requests},
          {"skipped",
           {{"broken", log.broken}, {"other_methods", log.other_methods}, {"other_statuses", log.other_statuses}}},
          {"out_of_order", spec.workload->arrivals_s ? Json(log.out_of_order) : Json(nullptr)},
          {"cut_short", log.cut_short},
          {"length_s", spec.workload->arrivals_s ? Json(log.length_s) : Json(nullptr)},
          {"speed", spec.workload->arrivals_s ? Json(log.speed) : Json(nullptr)}};
}

}  // namespace

std::string_view name_of(VerdictKind kind) {
  static constexpr std::array<std::string_view, 4> names = {"valid", "invalid", "client_limited", "server_failed"};
  return names[static_cast<std::size_t>(kind)];
}

namespace {

// What one rank was asked for.
LoadSpec share_of(const LoadSpec& spec, const RankResult& rank) {
  LoadSpec share = spec;
  share.connections = rank.connections;
  return share;
}

// What goes wrong between hosts, and not on one.
std::vector<std::string> faults_of_clock(const LoadSpec& spec, const RankResult& rank) {
  std::vector<std::string> reasons;
  if (has_stepped(rank.clock_before, rank.clock_after, rank.between_ns))
    reasons.push_back(fmt::format("its clock stepped by {:.3f} ms during the run",
                                  milliseconds(rank.clock_after.ahead_ns - rank.clock_before.ahead_ns)));
  if (rank.result.late_ns > spec.warmup_ns + spec.duration_ns / 100)
    reasons.push_back(
        fmt::format("it began {:.1f} ms late, within the measured time", milliseconds(rank.result.late_ns)));
  return reasons;
}

}  // namespace

Verdict judge_rank(const LoadSpec& spec, const RankResult& rank) {
  Verdict verdict = judge(share_of(spec, rank), rank.result);
  for (std::string& reason : faults_of_clock(spec, rank)) {
    verdict.kind = std::max(verdict.kind, VerdictKind::invalid);
    verdict.reasons.push_back(std::move(reason));
  }
  return verdict;
}

Verdict judge(const LoadSpec& spec, const LoadResult& result) {
  Verdict verdict;
  for (std::size_t number = 0; number < result.ranks.size(); ++number) {
    const Verdict of_rank = judge_rank(spec, result.ranks[number]);
    verdict.kind = std::max(verdict.kind, of_rank.kind);
    for (const std::string& reason : of_rank.reasons)
      verdict.reasons.push_back(fmt::format("{} (rank {}): {}", result.ranks[number].host, number, reason));
  }
  const Recorder& recorder = result.recorder;
  const auto object = [&](VerdictKind kind, std::string reason) {
    verdict.kind = std::max(verdict.kind, kind);
    verdict.reasons.push_back(std::move(reason));
  };
  if (result.duration_s <= 0) {
    object(VerdictKind::invalid, "the run ended before its measured time began");
    return verdict;
  }
  if (const double share = busiest_worker_share(result); share > most_cpu_share)
    object(VerdictKind::client_limited,
           fmt::format("the client was out of processor time: a worker used {:.0f} % of a core", share * 100));

  std::uint64_t server_errors = 0;
  for (std::size_t i = 0; i < load_error_count; ++i)
    if (const auto error = static_cast<LoadError>(i); is_of_server(error)) server_errors += recorder.errors(error);
  if (recorder.replies() == 0) {
    if (server_errors != 0) {
      object(VerdictKind::server_failed, "no reply was right:" + list_of_errors(recorder));
    } else {
      object(VerdictKind::invalid, "no reply came");
    }
    return verdict;
  }
  const std::uint64_t refused = recorder.errors(LoadError::connect_refused);
  if (refused != 0)
    object(VerdictKind::server_failed,
           fmt::format("the server refused {} connections: it ended, or closed its port", refused));
  if (const std::uint64_t wrong = recorder.errors(LoadError::wrong_bytes); wrong != 0)
    object(VerdictKind::server_failed, fmt::format("{} replies had wrong bytes", wrong));

  if (result.sessions.log_lost)
    object(VerdictKind::invalid,
           fmt::format("the session log was changed while it was replayed: only {} of {} sessions began",
                       result.sessions.started, spec.log_sessions));

  // What is missing is the server's where its failures account for it, else the client's.
  const auto missing = [&](bool explained, const std::string& what) {
    if (explained) {
      object(VerdictKind::server_failed, what + "; the server failed the others:" + list_of_errors(recorder));
    } else {
      object(VerdictKind::client_limited, what);
    }
  };
  const std::uint64_t opened = opened_slots(recorder);
  const bool keeps_connections = spec.model <= LoadModel::open && spec.requests_per_connection == 0;
  if (keeps_connections && opened < spec.connections)
    missing(refused + recorder.errors(LoadError::connect_timeout) != 0,
            fmt::format("only {} of {} connections were opened", opened, spec.connections));
  if (keeps_connections && spec.model == LoadModel::closed && !spec.think_s && spec.pipeline == 1 && opened > 0) {
    const double in_flight = (recorder.busy_s() + recorder.paused_s()) / result.duration_s;
    const auto agrees = [&](double found) {
      return std::abs(found / static_cast<double>(opened) - 1) <= little_tolerance;
    };
    // Where the server closes connections, opening the next one is no idle time of the client's.
    const double opening = recorder.opening_s() / result.duration_s;
    if (!agrees(in_flight) && !agrees(in_flight + opening))
      missing(agrees(in_flight + opening + recorder.held_back_s() / result.duration_s),
              fmt::format("Little's law: {:.1f} requests in flight on average, {} connections", in_flight, opened));
  }
  if (spec.model == LoadModel::open && recorder.offered() > 0) {
    const auto offered = static_cast<double>(recorder.offered());
    const double achieved = static_cast<double>(recorder.replies()) / offered;
    if (achieved < least_achieved)
      missing(refused != 0 || static_cast<double>(recorder.replies() + server_errors) >= least_achieved * offered,
              fmt::format("achieved {:.1f} % of the {} requests offered", achieved * 100, recorder.offered()));
  }
  return verdict;
}

namespace {

Json ranks_json(const LoadSpec& spec, const LoadResult& result) {
  if (result.ranks.empty()) return nullptr;
  Json all = Json::array();
  for (const RankResult& rank : result.ranks) {
    const Recorder& recorder = rank.result.recorder;
    all.push_back({{"host", rank.host},
                   {"threads", rank.result.workers},
                   {"connections", rank.connections},
                   {"replies", recorder.replies()},
                   {"offered", recorder.own_schedule() ? Json(recorder.offered()) : Json(nullptr)},
                   {"errors", recorder.errors()},
                   {"starved_connections", recorder.starved_slots()},
                   {"latency_ms", latency_json(recorder.from_schedule())},
                   {"send_lag_ms", recorder.own_schedule() ? latency_json(recorder.send_lag()) : Json(nullptr)},
                   {"cpu_s", cpu_of(rank.result)},
                   {"busiest_share", busiest_worker_share(rank.result)},
                   {"late_ms", milliseconds(rank.result.late_ns)},
                   {"clock_ahead_ms",
                    {{"before", milliseconds(rank.clock_before.ahead_ns)},
                     {"after", milliseconds(rank.clock_after.ahead_ns)},
                     {"error", milliseconds(std::max(rank.clock_before.error_ns, rank.clock_after.error_ns))}}},
                   {"faults", faults_of_clock(spec, rank)},
                   {"verdict", verdict_json(judge_rank(spec, rank))}});
  }
  return all;
}

}  // namespace

Json to_json(const LoadSpec& spec, const LoadResult& result) {
  const Recorder& recorder = result.recorder;
  const double duration_s = result.duration_s;
  const auto per_second = [&](double amount) { return duration_s > 0 ? Json(amount / duration_s) : Json(nullptr); };

  Json errors{{"total", recorder.errors()}};
  for (std::size_t i = 0; i < load_error_count; ++i)
    errors[std::string(name_of(static_cast<LoadError>(i)))] = recorder.errors(static_cast<LoadError>(i));
  Json timeouts;
  for (std::size_t i = 0; i < timeout_phase_count; ++i)
    timeouts[std::string(name_of(static_cast<TimeoutPhase>(i)))] = recorder.timeouts(static_cast<TimeoutPhase>(i));
  Json per_second_series = Json::array();
  for (std::size_t i = 0; i < recorder.seconds().size(); ++i) {
    const SecondTally& second = recorder.seconds()[i];
    const bool any = second.replies != 0;
    per_second_series.push_back(
        {{"second", i},
         {"replies", second.replies},
         {"received_bytes", second.received_bytes},
         {"errors", second.errors},
         {"latency_mean_ms",
          any ? Json(static_cast<double>(second.latency_sum_ns) * 1e-6 / static_cast<double>(second.replies))
              : Json(nullptr)},
         {"latency_max_ms", any ? Json(static_cast<double>(second.latency_max_ns) * 1e-6) : Json(nullptr)}});
  }
  Json classes = Json::array();
  for (std::size_t i = 0; i < recorder.classes().size(); ++i) {
    const ClassTally& tally = recorder.classes()[i];
    const std::int64_t size_bytes = result.class_sizes_bytes[i];
    classes.push_back({{"name", spec.workload ? Json(spec.workload->classes[i].name) : Json(nullptr)},
                       {"size_bytes", size_bytes < 0 ? Json(nullptr) : Json(size_bytes)},
                       {"attempts", tally.attempts},
                       {"replies", tally.replies},
                       {"timeouts", tally.timeouts},
                       {"latency_ms", recorder.classes().size() > 1 ? latency_json(tally.latency)
                                                                    : latency_json(recorder.from_schedule())}});
  }
  const double cpu_s = cpu_of(result);
  const Verdict verdict = judge(spec, result);
  const bool scheduled = recorder.own_schedule();
  const bool has_sessions = spec.model >= LoadModel::sessions;

  return {
      {"schema_version", 1},
      {"url", spec.url_text},
      {"address", result.address},
      {"workload", spec.workload ? Json(spec.workload->name) : Json(nullptr)},
      {"headers", spec.headers},
      {"log", log_json(spec)},
      {"notes", spec.notes},
      {"model", name_of(spec.model)},
      {"rate", spec.rate ? Json(spec.rate_text) : Json(nullptr)},
      {"arrivals", spec.rate      ? Json(name_of(spec.arrivals))
                   : spec.times_s ? Json("trace")
                                  : Json(nullptr)},
      {"think_mean_s", spec.think_s ? Json(spec.think_s->mean()) : Json(nullptr)},
      {"requests_per_connection", spec.requests_per_connection},
      {"pipeline", spec.pipeline},
      {"attempts_in_all", recorder.attempts_in_all()},
      {"replies", recorder.replies()},
      {"replies_per_s", per_second(static_cast<double>(recorder.replies()))},
      {"body_bytes", recorder.body_bytes()},
      {"received_bytes", recorder.received_bytes()},
      {"throughput_mbps", per_second(static_cast<double>(recorder.received_bytes()) * 8e-6)},
      {"goodput_mbps", per_second(static_cast<double>(recorder.body_bytes()) * 8e-6)},
      {"duration_s", duration_s},
      {"warmup_s", seconds(spec.warmup_ns)},
      {"seed", spec.seed},
      {"threads", result.workers},
      {"bodies", spec.discard ? "discarded" : "copied"},
      {"reader_bytes_per_s", spec.reader_bytes_per_s == 0 ? Json(nullptr) : Json(spec.reader_bytes_per_s)},
      {"source_addresses", result.source_addresses},
      {"opening_s", result.opening_s},
      {"connections",
       {{"asked", spec.connections},
        {"opened", opened_slots(recorder)},
        {"replied", replied_slots(recorder)},
        {"reopened", recorder.reconnects()}}},
      {"reissued", recorder.reissued()},
      {"errors", errors},
      {"timeouts", timeouts},
      {"offered", scheduled ? Json(recorder.offered()) : Json(nullptr)},
      {"found_no_connection", scheduled ? Json(recorder.found_no_connection()) : Json(nullptr)},
      {"offered_per_s", scheduled ? per_second(static_cast<double>(recorder.offered())) : Json(nullptr)},
      {"sessions", has_sessions ? Json{{"started", result.sessions.started},
                                       {"completed", result.sessions.completed},
                                       {"failed", result.sessions.failed}}
                                : Json(nullptr)},
      {"latency_ms", latency_json(recorder.from_schedule())},
      {"latency_from_send_ms", latency_json(recorder.from_send())},
      {"send_lag_ms", scheduled ? latency_json(recorder.send_lag()) : Json(nullptr)},
      {"histogram", recorder.from_schedule().to_json()},
      {"histogram_from_send", scheduled ? recorder.from_send().to_json() : Json(nullptr)},
      {"histogram_send_lag", scheduled ? recorder.send_lag().to_json() : Json(nullptr)},
      {"seconds", per_second_series},
      {"classes", classes},
      {"jain_index", jain_index(recorder.slots())},
      {"starved_connections", recorder.starved_slots()},
      {"in_flight_at_end", recorder.in_flight_at_end()},
      {"in_flight_mean", per_second(recorder.busy_s())},
      {"paused_mean", per_second(recorder.paused_s())},
      {"verified_replies", recorder.verified_replies()},
      {"client",
       {{"cpu_s", cpu_s},
        {"spin_s", result.spin_s},
        {"wall_s", duration_s},
        {"cpu_share", per_second(cpu_s)},
        {"busiest_share", busiest_worker_share(result)}}},
      {"interrupted", result.interrupted},
      {"start_skew_ms", result.ranks.empty() ? Json(nullptr) : Json(milliseconds(start_skew_ns(result)))},
      {"ranks", ranks_json(spec, result)},
      {"verdict", verdict_json(verdict)},
  };
}

void write_hgrm(std::ostream& out, const Histogram& histogram) {
  out << fmt::format("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
  const auto total = static_cast<double>(histogram.count());
  // Five lines for each halving of what is left, as HdrHistogram's own writers have it.
  std::uint64_t seen = 0;
  double next_share = 0;
  histogram.for_each([&](std::size_t bucket, std::uint64_t count) {
    seen += count;
    const double share = static_cast<double>(seen) / total;
    const double value_ms = static_cast<double>(std::min(Histogram::bucket_high(bucket), histogram.max_ns())) * 1e-6;
    // The shares are sums of rounded numbers: one that ought to be met exactly is.
    while (next_share <= share + 1e-12 && next_share < 1) {
      out << fmt::format("{:12.3f} {:2.12f} {:10} {:14.2f}\n", value_ms, next_share, seen, 1 / (1 - next_share));
      const double halvings = std::floor(std::log2(1 / (1 - next_share))) + 1;
      next_share += 1 / (5 * std::exp2(halvings));
      if (seen == histogram.count()) break;
    }
  });
  out << fmt::format("{:12.3f} {:2.12f} {:10}\n", static_cast<double>(histogram.max_ns()) * 1e-6, 1.0,
                     histogram.count());
  double squares = 0;
  histogram.for_each([&](std::size_t bucket, std::uint64_t count) {
    const double middle =
        (static_cast<double>(Histogram::bucket_low(bucket)) + static_cast<double>(Histogram::bucket_high(bucket))) / 2;
    squares += (middle - histogram.mean_ns()) * (middle - histogram.mean_ns()) * static_cast<double>(count);
  });
  out << fmt::format("#[Mean    = {:12.3f}, StdDeviation   = {:12.3f}]\n", histogram.mean_ns() * 1e-6,
                     total > 0 ? std::sqrt(squares / total) * 1e-6 : 0.0);
  out << fmt::format("#[Max     = {:12.3f}, Total count    = {:12}]\n", static_cast<double>(histogram.max_ns()) * 1e-6,
                     histogram.count());
  out << fmt::format("#[Buckets = {:12}, SubBuckets     = {:12}]\n", 64 - Histogram::sub_bucket_bits,
                     1u << Histogram::sub_bucket_bits);
}

namespace {

struct Samples {
  double least = 0, mean = 0, most = 0, deviation = 0;
  std::size_t count = 0;
};

// Rates over five seconds each, as httperf samples them; a last stretch that is shorter is dropped.
Samples five_second_rates(const std::vector<std::uint64_t>& per_second, double duration_s) {
  std::vector<double> rates;
  for (std::size_t i = 0; static_cast<double>(i + 5) <= duration_s; i += 5) {
    std::uint64_t events = 0;
    for (std::size_t k = i; k < std::min(i + 5, per_second.size()); ++k) events += per_second[k];
    rates.push_back(static_cast<double>(events) / 5);
  }
  Samples samples;
  samples.count = rates.size();
  if (rates.empty()) return samples;
  samples.least = *std::min_element(rates.begin(), rates.end());
  samples.most = *std::max_element(rates.begin(), rates.end());
  samples.mean = std::accumulate(rates.begin(), rates.end(), 0.0) / static_cast<double>(rates.size());
  for (const double rate : rates) samples.deviation += (rate - samples.mean) * (rate - samples.mean);
  samples.deviation = rates.size() > 1 ? std::sqrt(samples.deviation / static_cast<double>(rates.size() - 1)) : 0;
  return samples;
}

}  // namespace

std::string to_httperf_text(const LoadSpec& spec, const LoadResult& result) {
  const Recorder& recorder = result.recorder;
  const WireTally& wire = recorder.wire();
  const double duration_s = std::max(result.duration_s, 1e-9);
  const auto each = [](auto sum, auto count) {
    return count == 0 ? 0.0 : static_cast<double>(sum) / static_cast<double>(count);
  };
  const auto per_s = [&](auto count) { return static_cast<double>(count) / duration_s; };
  const auto connections = opened_slots(recorder) + recorder.reconnects() +
                           recorder.errors(LoadError::connect_refused) + recorder.errors(LoadError::connect_timeout);
  const std::uint64_t replies = wire.replies();
  std::string text;
  const auto line = [&](const std::string& words) { text += words + "\n"; };

  line(fmt::format("bakeoff-load {}", spec.url_text));
  line(fmt::format("Maximum connect burst length: {}\n", wire.longest_burst));
  line(fmt::format("Total: connections {} requests {} replies {} test-duration {:.3f} s\n", connections, wire.requests,
                   replies, result.duration_s));

  line(fmt::format("Connection rate: {:.1f} conn/s ({:.1f} ms/conn, <={} concurrent connections)", per_s(connections),
                   1e3 * each(duration_s, connections), wire.most_connections));
  const auto lifetimes = static_cast<double>(wire.lifetimes.count());
  const double mean_s = wire.lifetimes.mean_ns() * 1e-9;
  const double variance_s2 =
      lifetimes > 1 ? std::max(0.0, (wire.squared_lifetimes_s2 - lifetimes * mean_s * mean_s) / (lifetimes - 1)) : 0;
  line(fmt::format("Connection time [ms]: min {:.1f} avg {:.1f} max {:.1f} median {:.1f} stddev {:.1f}",
                   static_cast<double>(wire.least_lifetime_ns) * 1e-6, mean_s * 1e3,
                   static_cast<double>(wire.lifetimes.max_ns()) * 1e-6,
                   static_cast<double>(wire.lifetimes.percentile_ns(0.5)) * 1e-6, std::sqrt(variance_s2) * 1e3));
  line(fmt::format("Connection time [ms]: connect {:.1f}", each(wire.connect_ns, wire.connects) * 1e-6));
  line(fmt::format("Connection length [replies/conn]: {:.3f}\n", each(replies, wire.lifetimes.count())));

  line(fmt::format("Request rate: {:.1f} req/s ({:.1f} ms/req)", per_s(wire.requests),
                   1e3 * each(duration_s, wire.requests)));
  line(fmt::format("Request size [B]: {:.1f}\n", each(wire.request_bytes, wire.requests)));

  std::vector<std::uint64_t> replies_per_second;
  for (const SecondTally& second : recorder.seconds()) replies_per_second.push_back(second.replies);
  const Samples rates = five_second_rates(replies_per_second, result.duration_s);
  line(fmt::format("Reply rate [replies/s]: min {:.1f} avg {:.1f} max {:.1f} stddev {:.1f} ({} samples)", rates.least,
                   rates.mean, rates.most, rates.deviation, rates.count));
  line(fmt::format("Reply time [ms]: response {:.1f} transfer {:.1f}", each(wire.response_ns, replies) * 1e-6,
                   each(wire.transfer_ns, replies) * 1e-6));
  line(fmt::format("Reply size [B]: header {:.1f} content {:.1f} footer {:.1f} (total {:.1f})",
                   each(wire.head_bytes, replies), each(wire.content_bytes, replies), each(wire.footer_bytes, replies),
                   each(wire.head_bytes + wire.content_bytes + wire.footer_bytes, replies)));
  line(fmt::format("Reply status: 1xx={} 2xx={} 3xx={} 4xx={} 5xx={}\n", wire.statuses[1], wire.statuses[2],
                   wire.statuses[3], wire.statuses[4], wire.statuses[5]));

  const double user = 100 * result.user_s / duration_s, system = 100 * result.system_s / duration_s;
  line(fmt::format("CPU time [s]: user {:.2f} system {:.2f} (user {:.1f}% system {:.1f}% total {:.1f}%)", result.user_s,
                   result.system_s, user, system, user + system));
  const auto moved = static_cast<double>(wire.request_bytes + recorder.received_bytes());
  line(fmt::format("Net I/O: {:.1f} KB/s ({:.1f}*10^6 bps)\n", moved / 1024 / duration_s, moved * 8e-6 / duration_s));

  // To httperf a complete reply of any status is not an error.
  const std::uint64_t timeouts = recorder.errors(LoadError::timeout) + recorder.errors(LoadError::connect_timeout);
  const std::uint64_t resets = recorder.errors(LoadError::reset) + recorder.errors(LoadError::closed_early);
  const std::uint64_t refused = recorder.errors(LoadError::connect_refused);
  const std::uint64_t descriptors = recorder.errors(LoadError::fd_unavailable);
  const std::uint64_t addresses = recorder.errors(LoadError::address_unavailable);
  const std::uint64_t total = recorder.errors() - recorder.errors(LoadError::bad_status);
  line(fmt::format("Errors: total {} client-timo {} socket-timo 0 connrefused {} connreset {}", total, timeouts,
                   refused, resets));
  line(fmt::format("Errors: fd-unavail {} addrunavail {} ftab-full 0 other {}", descriptors, addresses,
                   total - timeouts - resets - refused - descriptors - addresses));
  if (spec.model < LoadModel::sessions) return text;

  const SessionCounts& sessions = result.sessions;
  const Samples session_rates = five_second_rates(sessions.seconds, result.duration_s);
  line(fmt::format("\nSession rate [sess/s]: min {:.2f} avg {:.2f} max {:.2f} stddev {:.2f} ({}/{})",
                   session_rates.least, per_s(sessions.completed), session_rates.most, session_rates.deviation,
                   sessions.completed, sessions.completed + sessions.failed));
  line(fmt::format("Session: avg {:.2f} connections/session", each(sessions.connections, sessions.completed)));
  line(fmt::format("Session lifetime [s]: {:.1f}", each(sessions.lifetime_ns, sessions.completed) * 1e-9));
  line(fmt::format("Session failtime [s]: {:.1f}", each(sessions.failtime_ns, sessions.failed) * 1e-9));
  text += "Session length histogram:";
  if (sessions.lengths.empty()) text += " 0";
  for (const std::uint64_t count : sessions.lengths) text += " " + std::to_string(count);
  return text + "\n";
}

std::string to_text(const LoadSpec& spec, const LoadResult& result) {
  const Recorder& recorder = result.recorder;
  const double duration_s = std::max(result.duration_s, 1e-9);
  const Histogram& latency = recorder.from_schedule();
  const double cpu_s = cpu_of(result);
  std::string text = fmt::format("{} replies in {:.2f} s: {:.0f}/s, {:.1f} Mbit/s\n", recorder.replies(),
                                 result.duration_s, static_cast<double>(recorder.replies()) / duration_s,
                                 static_cast<double>(recorder.received_bytes()) * 8e-6 / duration_s);
  if (latency.count() != 0)
    text += fmt::format(
        "latency ms: mean {:.3f}  p50 {:.3f}  p90 {:.3f}  p99 {:.3f}  p99.9 {:.3f}  max {:.3f}\n",
        latency.mean_ns() * 1e-6, static_cast<double>(latency.percentile_ns(0.5)) * 1e-6,
        static_cast<double>(latency.percentile_ns(0.9)) * 1e-6, static_cast<double>(latency.percentile_ns(0.99)) * 1e-6,
        static_cast<double>(latency.percentile_ns(0.999)) * 1e-6, static_cast<double>(latency.max_ns()) * 1e-6);
  if (recorder.own_schedule() && latency.count() != 0)
    text += fmt::format(
        "offered {}; from send ms: p50 {:.3f}  p99 {:.3f}; send lag ms: p50 {:.4f}  p99 {:.4f}  max {:.3f}\n",
        recorder.offered(), static_cast<double>(recorder.from_send().percentile_ns(0.5)) * 1e-6,
        static_cast<double>(recorder.from_send().percentile_ns(0.99)) * 1e-6,
        static_cast<double>(recorder.send_lag().percentile_ns(0.5)) * 1e-6,
        static_cast<double>(recorder.send_lag().percentile_ns(0.99)) * 1e-6,
        static_cast<double>(recorder.send_lag().max_ns()) * 1e-6);
  if (recorder.found_no_connection() != 0)
    text += fmt::format("{} of them were due when every connection was busy: more --connections\n",
                        recorder.found_no_connection());
  if (spec.model >= LoadModel::sessions)
    text += fmt::format("sessions: {} started, {} completed, {} failed\n", result.sessions.started,
                        result.sessions.completed, result.sessions.failed);
  text += fmt::format("connections: {} asked, {} opened, {} replied; Jain's index {:.4f}\n", spec.connections,
                      opened_slots(recorder), replied_slots(recorder), jain_index(recorder.slots()));
  if (recorder.reissued() != 0)
    text += fmt::format("{} requests went out twice: the server had closed between two replies\n", recorder.reissued());
  if (recorder.errors() != 0) text += fmt::format("errors: {}:{}\n", recorder.errors(), list_of_errors(recorder));
  text += fmt::format("client: {:.2f} s of processor time, {:.2f} us per reply\n", cpu_s,
                      recorder.replies() == 0 ? 0.0 : cpu_s * 1e6 / static_cast<double>(recorder.replies()));
  for (std::size_t number = 0; number < result.ranks.size(); ++number) {
    const RankResult& rank = result.ranks[number];
    text += fmt::format("rank {} on {}: {} replies, {:.2f} us per reply, began {:.2f} ms late, clock {:+.3f} ms\n",
                        number, rank.host, rank.result.recorder.replies(),
                        rank.result.recorder.replies() == 0
                            ? 0.0
                            : cpu_of(rank.result) * 1e6 / static_cast<double>(rank.result.recorder.replies()),
                        milliseconds(rank.result.late_ns), milliseconds(rank.clock_before.ahead_ns));
  }
  const Verdict verdict = judge(spec, result);
  text += fmt::format("verdict: {}\n", name_of(verdict.kind));
  for (const std::string& reason : verdict.reasons) text += "  " + reason + "\n";
  return text;
}

}  // namespace bakeoff
