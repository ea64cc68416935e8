#include "harness/load/report.h"

#include <boost/format.hpp>
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
  return static_cast<std::uint64_t>(std::count_if(recorder.slots().begin(), recorder.slots().end(), [](const SlotTally& slot) { return slot.opened; }));
}

double busiest_worker_share(const LoadResult& result) {
  double most_s = 0;
  for (const double cpu_s : result.worker_cpu_s) most_s = std::max(most_s, cpu_s);
  return result.duration_s > 0 ? most_s / result.duration_s : 0;
}

Json latency_json(const Histogram& histogram) {
  Json json;
  const auto put = [&](const char* name, double ns) { json[name] = histogram.count() == 0 ? Json(nullptr) : Json(ns * 1e-6); };
  put("mean", histogram.mean_ns());
  put("p50", static_cast<double>(histogram.percentile_ns(0.5)));
  put("p90", static_cast<double>(histogram.percentile_ns(0.9)));
  put("p99", static_cast<double>(histogram.percentile_ns(0.99)));
  put("p999", static_cast<double>(histogram.percentile_ns(0.999)));
  put("max", static_cast<double>(histogram.max_ns()));
  return json;
}

}  // namespace

Verdict judge(const LoadSpec& spec, const LoadResult& result) {
  Verdict verdict;
  const Recorder& recorder = result.recorder;
  const auto limited = [&](const std::string& reason) {
    verdict.valid = false;
    verdict.client_limited = true;
    verdict.reasons.push_back(reason);
  };
  if (result.duration_s <= 0) {
    verdict.valid = false;
    verdict.reasons.push_back("the run ended before its measured time began");
    return verdict;
  }
  if (recorder.replies() == 0) {
    verdict.valid = false;
    verdict.reasons.push_back("no reply came");
  }
  if (const double share = busiest_worker_share(result); share > most_cpu_share)
    limited(str(boost::format("the client was out of processor time: a worker used %.0f %% of a core") % (share * 100)));
  const std::uint64_t opened = opened_slots(recorder);
  const bool keeps_connections = spec.model <= LoadModel::open && spec.requests_per_connection == 0;
  if (keeps_connections && opened < spec.connections) limited(str(boost::format("only %d of %d connections were opened") % opened % spec.connections));
  if (keeps_connections && spec.model == LoadModel::closed && !spec.think_s && spec.pipeline == 1 && opened > 0) {
    const double in_flight = recorder.busy_s() / result.duration_s;
    if (std::abs(in_flight / static_cast<double>(opened) - 1) > little_tolerance)
      limited(str(boost::format("Little's law: %.1f requests in flight on average, %d connections") % in_flight % opened));
  }
  if (spec.model == LoadModel::open && recorder.offered() > 0) {
    const double achieved = static_cast<double>(recorder.replies()) / static_cast<double>(recorder.offered());
    if (achieved < least_achieved) limited(str(boost::format("achieved %.1f %% of the %d requests offered") % (achieved * 100) % recorder.offered()));
  }
  if (recorder.errors(LoadError::wrong_bytes) != 0) {
    verdict.valid = false;
    verdict.reasons.push_back(str(boost::format("%d replies had wrong bytes") % recorder.errors(LoadError::wrong_bytes)));
  }
  return verdict;
}

Json to_json(const LoadSpec& spec, const LoadResult& result) {
  const Recorder& recorder = result.recorder;
  const double duration_s = result.duration_s;
  const auto per_second = [&](double amount) { return duration_s > 0 ? Json(amount / duration_s) : Json(nullptr); };
  const auto replied = recorder.slots().size() - starved(recorder.slots());

  Json errors{{"total", recorder.errors()}};
  for (std::size_t i = 0; i < load_error_count; ++i) errors[std::string(name_of(static_cast<LoadError>(i)))] = recorder.errors(static_cast<LoadError>(i));
  Json timeouts;
  for (std::size_t i = 0; i < timeout_phase_count; ++i) timeouts[std::string(name_of(static_cast<TimeoutPhase>(i)))] = recorder.timeouts(static_cast<TimeoutPhase>(i));
  Json per_second_series = Json::array();
  for (std::size_t i = 0; i < recorder.seconds().size(); ++i) {
    const SecondTally& second = recorder.seconds()[i];
    const bool any = second.replies != 0;
    per_second_series.push_back({{"second", i},
                                 {"replies", second.replies},
                                 {"received_bytes", second.received_bytes},
                                 {"errors", second.errors},
                                 {"latency_mean_ms", any ? Json(static_cast<double>(second.latency_sum_ns) * 1e-6 / static_cast<double>(second.replies)) : Json(nullptr)},
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
                       {"latency_ms", recorder.classes().size() > 1 ? latency_json(tally.latency) : latency_json(recorder.from_schedule())}});
  }
  const double cpu_s = std::accumulate(result.worker_cpu_s.begin(), result.worker_cpu_s.end(), 0.0);
  const Verdict verdict = judge(spec, result);
  const bool scheduled = recorder.own_schedule();
  const bool has_sessions = spec.model >= LoadModel::sessions;

  return {
      {"schema_version", 1},
      {"url", spec.url_text},
      {"workload", spec.workload ? Json(spec.workload->name) : Json(nullptr)},
      {"model", name_of(spec.model)},
      {"rate", spec.rate ? Json(spec.rate_text) : Json(nullptr)},
      {"arrivals", spec.rate ? Json(name_of(spec.arrivals)) : spec.times_s ? Json("trace") : Json(nullptr)},
      {"think_mean_s", spec.think_s ? Json(spec.think_s->mean()) : Json(nullptr)},
      {"requests_per_connection", spec.requests_per_connection},
      {"pipeline", spec.pipeline},
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
      {"connections", {{"asked", spec.connections}, {"opened", opened_slots(recorder)}, {"replied", replied}, {"reopened", recorder.reconnects()}}},
      {"errors", errors},
      {"timeouts", timeouts},
      {"offered", scheduled ? Json(recorder.offered()) : Json(nullptr)},
      {"found_no_connection", scheduled ? Json(recorder.found_no_connection()) : Json(nullptr)},
      {"offered_per_s", scheduled ? per_second(static_cast<double>(recorder.offered())) : Json(nullptr)},
      {"sessions", has_sessions ? Json{{"started", result.sessions.started}, {"completed", result.sessions.completed}, {"failed", result.sessions.failed}} : Json(nullptr)},
      {"latency_ms", latency_json(recorder.from_schedule())},
      {"latency_from_send_ms", latency_json(recorder.from_send())},
      {"send_lag_ms", scheduled ? latency_json(recorder.send_lag()) : Json(nullptr)},
      {"histogram", recorder.from_schedule().to_json()},
      {"histogram_from_send", scheduled ? recorder.from_send().to_json() : Json(nullptr)},
      {"histogram_send_lag", scheduled ? recorder.send_lag().to_json() : Json(nullptr)},
      {"seconds", per_second_series},
      {"classes", classes},
      {"jain_index", jain_index(recorder.slots())},
      {"starved_connections", starved(recorder.slots())},
      {"in_flight_at_end", recorder.in_flight_at_end()},
      {"in_flight_mean", per_second(recorder.busy_s())},
      {"verified_replies", recorder.verified_replies()},
      {"client", {{"cpu_s", cpu_s}, {"spin_s", result.spin_s}, {"wall_s", duration_s}, {"cpu_share", per_second(cpu_s)}, {"busiest_share", busiest_worker_share(result)}}},
      {"interrupted", result.interrupted},
      {"verdict", {{"valid", verdict.valid}, {"kind", verdict.valid ? "valid" : verdict.client_limited ? "client_limited" : "invalid"}, {"reasons", verdict.reasons}}},
  };
}

void write_hgrm(std::ostream& out, const Histogram& histogram) {
  out << str(boost::format("%12s %14s %10s %14s\n\n") % "Value" % "Percentile" % "TotalCount" % "1/(1-Percentile)");
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
      out << str(boost::format("%12.3f %2.12f %10d %14.2f\n") % value_ms % next_share % seen % (1 / (1 - next_share)));
      const double halvings = std::floor(std::log2(1 / (1 - next_share))) + 1;
      next_share += 1 / (5 * std::exp2(halvings));
      if (seen == histogram.count()) break;
    }
  });
  out << str(boost::format("%12.3f %2.12f %10d\n") % (static_cast<double>(histogram.max_ns()) * 1e-6) % 1.0 % histogram.count());
  double squares = 0;
  histogram.for_each([&](std::size_t bucket, std::uint64_t count) {
    const double middle = (static_cast<double>(Histogram::bucket_low(bucket)) + static_cast<double>(Histogram::bucket_high(bucket))) / 2;
    squares += (middle - histogram.mean_ns()) * (middle - histogram.mean_ns()) * static_cast<double>(count);
  });
  out << str(boost::format("#[Mean    = %12.3f, StdDeviation   = %12.3f]\n") % (histogram.mean_ns() * 1e-6) % (total > 0 ? std::sqrt(squares / total) * 1e-6 : 0.0));
  out << str(boost::format("#[Max     = %12.3f, Total count    = %12d]\n") % (static_cast<double>(histogram.max_ns()) * 1e-6) % histogram.count());
  out << str(boost::format("#[Buckets = %12d, SubBuckets     = %12d]\n") % (64 - Histogram::sub_bucket_bits) % (1u << Histogram::sub_bucket_bits));
}

std::string to_httperf_text(const LoadSpec& spec, const LoadResult& result) {
  const Recorder& recorder = result.recorder;
  const double duration_s = std::max(result.duration_s, 1e-9);
  const auto connections = opened_slots(recorder) + recorder.reconnects();
  std::uint64_t attempts = 0;
  for (const ClassTally& tally : recorder.classes()) attempts += tally.attempts;
  // Rates over five seconds each; a last stretch that is shorter is dropped.
  std::vector<double> samples;
  for (std::size_t i = 0; i + 5 <= recorder.seconds().size() && static_cast<double>(i + 5) <= result.duration_s; i += 5) {
    std::uint64_t replies = 0;
    for (std::size_t k = i; k < i + 5; ++k) replies += recorder.seconds()[k].replies;
    samples.push_back(static_cast<double>(replies) / 5);
  }
  double least = 0, most = 0, mean = 0, deviation = 0;
  if (!samples.empty()) {
    least = *std::min_element(samples.begin(), samples.end());
    most = *std::max_element(samples.begin(), samples.end());
    mean = std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
    for (const double sample : samples) deviation += (sample - mean) * (sample - mean);
    if (samples.size() > 1) deviation = std::sqrt(deviation / static_cast<double>(samples.size() - 1));
  }
  const auto replies = std::max<std::uint64_t>(recorder.replies(), 1);
  const auto content = static_cast<double>(recorder.body_bytes()) / static_cast<double>(replies);
  const auto total = static_cast<double>(recorder.received_bytes()) / static_cast<double>(replies);
  const double cpu_s = std::accumulate(result.worker_cpu_s.begin(), result.worker_cpu_s.end(), 0.0);
  const auto other = recorder.errors() - recorder.errors(LoadError::timeout) - recorder.errors(LoadError::connect_timeout) -
                     recorder.errors(LoadError::connect_refused) - recorder.errors(LoadError::reset) - recorder.errors(LoadError::closed_early) -
                     recorder.errors(LoadError::fd_unavailable) - recorder.errors(LoadError::address_unavailable);
  std::string text = str(boost::format("Total: connections %d requests %d replies %d test-duration %.3f s\n\n") % connections % attempts % recorder.replies() % result.duration_s);
  text += str(boost::format("Connection rate: %.1f conn/s (%.1f ms/conn)\n\n") % (static_cast<double>(connections) / duration_s) %
              (duration_s * 1e3 / static_cast<double>(std::max<std::uint64_t>(connections, 1))));
  text += str(boost::format("Request rate: %.1f req/s (%.1f ms/req)\n\n") % (static_cast<double>(attempts) / duration_s) %
              (duration_s * 1e3 / static_cast<double>(std::max<std::uint64_t>(attempts, 1))));
  text += str(boost::format("Reply rate [replies/s]: min %.1f avg %.1f max %.1f stddev %.1f (%d samples)\n") % least % mean % most % deviation % samples.size());
  text += str(boost::format("Reply time [ms]: response and transfer %.1f\n") % (recorder.from_send().mean_ns() * 1e-6));
  text += str(boost::format("Reply size [B]: header %.1f content %.1f (total %.1f)\n\n") % (total - content) % content % total);
  text += str(boost::format("CPU time [s]: %.2f (%.1f%% of a core)\n") % cpu_s % (cpu_s / duration_s * 100));
  text += str(boost::format("Net I/O: %.1f KB/s (%.1f*10^6 bps)\n\n") % (static_cast<double>(recorder.received_bytes()) / 1024 / duration_s) %
              (static_cast<double>(recorder.received_bytes()) * 8e-6 / duration_s));
  text += str(boost::format("Errors: total %d client-timo %d socket-timo %d connrefused %d connreset %d\n") % recorder.errors() %
              (recorder.errors(LoadError::timeout) + recorder.errors(LoadError::connect_timeout)) % 0 % recorder.errors(LoadError::connect_refused) %
              (recorder.errors(LoadError::reset) + recorder.errors(LoadError::closed_early)));
  text += str(boost::format("Errors: fd-unavail %d addrunavail %d ftab-full 0 other %d\n") % recorder.errors(LoadError::fd_unavailable) %
              recorder.errors(LoadError::address_unavailable) % other);
  if (spec.model >= LoadModel::sessions)
    text += str(boost::format("\nSession rate [sess/s]: avg %.2f (%d/%d)\n") % (static_cast<double>(result.sessions.completed) / duration_s) %
                result.sessions.completed % result.sessions.started);
  return text;
}

std::string to_text(const LoadSpec& spec, const LoadResult& result) {
  const Recorder& recorder = result.recorder;
  const double duration_s = std::max(result.duration_s, 1e-9);
  const Histogram& latency = recorder.from_schedule();
  const double cpu_s = std::accumulate(result.worker_cpu_s.begin(), result.worker_cpu_s.end(), 0.0);
  std::string text = str(boost::format("%d replies in %.2f s: %.0f/s, %.1f Mbit/s\n") % recorder.replies() % result.duration_s %
                         (static_cast<double>(recorder.replies()) / duration_s) % (static_cast<double>(recorder.received_bytes()) * 8e-6 / duration_s));
  if (latency.count() != 0)
    text += str(boost::format("latency ms: mean %.3f  p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f\n") % (latency.mean_ns() * 1e-6) %
                (static_cast<double>(latency.percentile_ns(0.5)) * 1e-6) % (static_cast<double>(latency.percentile_ns(0.9)) * 1e-6) %
                (static_cast<double>(latency.percentile_ns(0.99)) * 1e-6) % (static_cast<double>(latency.percentile_ns(0.999)) * 1e-6) %
                (static_cast<double>(latency.max_ns()) * 1e-6));
  if (recorder.own_schedule() && latency.count() != 0)
    text += str(boost::format("offered %d; from send ms: p50 %.3f  p99 %.3f; send lag ms: p50 %.4f  p99 %.4f  max %.3f\n") % recorder.offered() %
                (static_cast<double>(recorder.from_send().percentile_ns(0.5)) * 1e-6) % (static_cast<double>(recorder.from_send().percentile_ns(0.99)) * 1e-6) %
                (static_cast<double>(recorder.send_lag().percentile_ns(0.5)) * 1e-6) % (static_cast<double>(recorder.send_lag().percentile_ns(0.99)) * 1e-6) %
                (static_cast<double>(recorder.send_lag().max_ns()) * 1e-6));
  if (recorder.found_no_connection() != 0)
    text += str(boost::format("%d of them were due when every connection was busy: more --connections\n") % recorder.found_no_connection());
  if (spec.model >= LoadModel::sessions)
    text += str(boost::format("sessions: %d started, %d completed, %d failed\n") % result.sessions.started % result.sessions.completed % result.sessions.failed);
  text += str(boost::format("connections: %d asked, %d opened, %d replied; Jain's index %.4f\n") % spec.connections % opened_slots(recorder) %
              (recorder.slots().size() - starved(recorder.slots())) % jain_index(recorder.slots()));
  if (recorder.errors() != 0) {
    text += str(boost::format("errors: %d") % recorder.errors());
    for (std::size_t i = 0; i < load_error_count; ++i)
      if (const auto error = static_cast<LoadError>(i); recorder.errors(error) != 0)
        text += str(boost::format("  %s %d") % name_of(error) % recorder.errors(error));
    text += "\n";
  }
  text += str(boost::format("client: %.2f s of processor time, %.2f us a reply\n") % cpu_s %
              (recorder.replies() == 0 ? 0.0 : cpu_s * 1e6 / static_cast<double>(recorder.replies())));
  const Verdict verdict = judge(spec, result);
  text += verdict.valid ? "verdict: valid\n" : verdict.client_limited ? "verdict: client_limited\n" : "verdict: invalid\n";
  for (const std::string& reason : verdict.reasons) text += "  " + reason + "\n";
  return text;
}

}  // namespace bakeoff
