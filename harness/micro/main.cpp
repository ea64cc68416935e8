// bakeoff-micro SYSTEM: one trial of a micro-experiment in a process of its own; prints one line of JSON.
#include <sys/resource.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/standard_output.h"
#include "core/base/units.h"
#include "core/base/untrusted.h"
#include "core/base/version.h"
#include "harness/micro/systems.h"
#include "harness/micro/toy_orders.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

nlohmann::ordered_json told(const MicroFigures& figures, std::uint32_t tasks) {
  return {{"tasks", tasks},
          {"duration_s", figures.duration_s},
          {"done", figures.done},
          {"cpu_s", figures.cpu_s},
          {"kernel_switches", figures.kernel_switches},
          {"user_switches", figures.user_switches},
          {"histogram", figures.latency.to_json()}};
}

nlohmann::ordered_json run_orders(OrderWay way, const ToyOrders& toys) {
  Histogram latency;
  const std::vector<std::int64_t> done_ns = real_completions_ns(way, toys);
  for (const std::int64_t ns : done_ns) latency.record(ns);
  return {{"tasks", toys.orders},
          {"duration_s", static_cast<double>(done_ns.back()) * 1e-9},
          {"done", toys.orders},
          {"computed_ms", computed_completions_ms(way, toys)},
          {"histogram", latency.to_json()}};
}

int run(int argc, char** argv) {
  std::string system, duration = "500ms", warmup = "100ms", step = "20ms";
  std::uint32_t tasks = 1;
  po::options_description options("bakeoff-micro SYSTEM");
  options.add_options()("system", po::value(&system),
                        "kernel-threads, event-loop, user-threads, boss-worker or pipeline")(
      "tasks", po::value(&tasks)->default_value(tasks), "tasks in the system at once, and threads where there are any")(
      "duration", po::value(&duration)->default_value(duration), "what is measured")(
      "warmup", po::value(&warmup)->default_value(warmup), "before it")(
      "step", po::value(&step)->default_value(step), "of boss-worker and pipeline: one of an order's six steps")(
      "help", "this text");
  po::positional_options_description words;
  words.add("system", 1);
  po::variables_map given;
  try {
    po::store(po::command_line_parser(argc, argv).options(options).positional(words).run(), given);
    po::notify(given);
  } catch (const po::error& error) {
    throw UsageError(std::string(error.what()) + "; see bakeoff-micro --help");
  }
  if (given.count("help") != 0) {
    std::ostringstream text;
    text << options;
    write_to_standard_output(text.str());
    return 0;
  }
  nlohmann::ordered_json result;
  if (system == "boss-worker" || system == "pipeline") {
    const ToyOrders toys{.step = std::chrono::milliseconds(parse_duration_ms(step))};
    result = run_orders(system == "pipeline" ? OrderWay::pipeline : OrderWay::boss_worker, toys);
  } else {
    if (tasks < 1 || tasks > 10'000'000) throw UsageError("--tasks must be from 1 to 10000000");
    const MicroSettings settings{tasks, static_cast<double>(parse_duration_ms(warmup)) * 1e-3,
                                 static_cast<double>(parse_duration_ms(duration)) * 1e-3};
    if (settings.duration_s <= 0) throw UsageError("--duration must be more than 0");
    result = told(run_micro_system(system, settings), tasks);
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  result["resident_most_bytes"] = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  write_to_standard_output(result.dump() + "\n");
  return 0;
}

}  // namespace
}  // namespace bakeoff

int main(int argc, char** argv) {
  const auto fail = [](const char* what, int status) {
    std::fprintf(stderr, "bakeoff-micro: %s\n", bakeoff::visible(what, "\n\t").c_str());
    return status;
  };
  try {
    if (bakeoff::answered_version(argc, argv, "bakeoff-micro")) return 0;
    return bakeoff::run(argc, argv);
  } catch (const bakeoff::UsageError& error) {
    return fail(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return fail("out of memory; use fewer --tasks", 4);
  } catch (const std::exception& error) {
    return fail(error.what(), 4);
  }
}
