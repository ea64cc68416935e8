#include "harness/load/load.h"

#include <sys/resource.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <thread>

#include "core/errors.h"

namespace bakeoff {

namespace {

constexpr std::uint32_t spare_descriptors = 64;
// Beyond some 10,000 connections between one pair of addresses the kernel's search for a free port takes most of the time
// that connecting takes (19,900 connections: 5.0 s from one address, 0.7 s from eight).
constexpr std::uint32_t connections_per_address = 2500;

void provide_descriptors(std::uint32_t connections) {
  const rlim_t wanted = rlim_t{connections} + spare_descriptors;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  const rlim_t hard = limit.rlim_max;
  limit = {wanted, std::max(wanted, hard)};
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
  throw StartError(std::to_string(connections) + " connections need " + std::to_string(wanted) + " descriptors, and a process may have only " +
                   std::to_string(hard) + "; raise the limit (ulimit -Hn) or ask for fewer connections");
}

struct Thread {
  std::unique_ptr<Source> source;
  std::unique_ptr<Model> model;
  std::unique_ptr<Recorder> recorder;
  std::unique_ptr<Client> client;
  std::exception_ptr error;
  std::thread thread;
};

std::unique_ptr<Source> make_source(const LoadSpec& spec, std::uint32_t first_slot, std::uint32_t slots) {
  if (!spec.workload) return std::make_unique<SingleSource>();
  return std::make_unique<WorkloadSource>(*spec.workload, spec.seed, first_slot, slots);
}

void sleep_until(std::int64_t until_ns, const std::atomic<bool>& stop) {
  for (std::int64_t now_ns = monotonic_ns(); now_ns < until_ns && !stop; now_ns = monotonic_ns())
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min<std::int64_t>(until_ns - now_ns, 20'000'000)));
}

}  // namespace

LoadResult run_load(const LoadSpec& spec, const std::atomic<bool>& stop) {
  if (spec.connections == 0) throw UsageError("--connections 0 asks for nothing; at least 1");
  if (spec.threads == 0 || spec.threads > spec.connections) throw UsageError("--threads must be from 1 to the number of connections");
  if (spec.duration_ns <= 0) throw UsageError("--duration must be more than 0");
  provide_descriptors(spec.connections);

  const bool close_each = spec.requests_per_connection == 1;
  const RequestTable requests =
      spec.workload ? RequestTable(spec.url, *spec.workload, close_each) : RequestTable(spec.url, spec.expected_bytes, close_each);
  ClientOptions options;
  options.target = resolve(spec.url);
  options.timeout_ns = spec.timeout_ns;
  options.connect_timeout_ns = spec.connect_timeout_ns;
  options.verify_every = spec.verify_every;
  options.same_length = spec.same_length;
  options.discard = spec.discard;
  options.source_addresses = spec.source_addresses;
  if (options.source_addresses == 0) {
    // Ports of closed connections stay taken for a while, so closing often needs more addresses too.
    const bool many = spec.connections > 4 * connections_per_address || spec.requests_per_connection != 0;
    options.source_addresses =
        many && options.target.is_loopback_ipv4() ? std::max(8u, (spec.connections + connections_per_address - 1) / connections_per_address) : 1;
  } else if (options.source_addresses > 1 && !options.target.is_loopback_ipv4()) {
    throw UsageError("--source-addresses needs a target in 127.0.0.0/8");
  }

  Phases phases;
  std::vector<Thread> threads(spec.threads);
  const auto classes = static_cast<std::uint32_t>(requests.class_sizes_bytes().size());
  std::uint32_t first_slot = 0;
  for (std::uint32_t i = 0; i < spec.threads; ++i) {
    Thread& thread = threads[i];
    options.first_slot = first_slot;
    options.connections = spec.connections / spec.threads + (i < spec.connections % spec.threads ? 1 : 0);
    first_slot += options.connections;
    thread.source = make_source(spec, options.first_slot, options.connections);
    thread.model = std::make_unique<ClosedModel>(options.connections, spec.requests_per_connection);
    thread.recorder = std::make_unique<Recorder>(options.connections, classes, false);
    thread.client = std::make_unique<Client>(options, requests, *thread.source, *thread.model, *thread.recorder, phases);
  }
  for (Thread& thread : threads)
    thread.thread = std::thread([&thread] {
      try {
        thread.client->run();
      } catch (...) {
        thread.error = std::current_exception();
      }
    });

  while (phases.settled < spec.threads && !stop) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::uint32_t opened = 0;
  int opening_errno = 0;
  for (const Thread& thread : threads) {
    opened += thread.client->opened();
    if (opening_errno == 0) opening_errno = thread.client->opening_errno();
  }
  const bool unreachable = opened == 0 && opening_errno != 0;
  const std::int64_t begin_ns = monotonic_ns();
  const std::int64_t start_ns = begin_ns + spec.warmup_ns;
  const std::int64_t planned_end_ns = unreachable ? begin_ns : start_ns + spec.duration_ns;
  phases.start_ns = start_ns;
  phases.end_ns = planned_end_ns;
  phases.begin_ns.store(begin_ns, std::memory_order_release);

  sleep_until(planned_end_ns, stop);
  if (stop) phases.end_ns = std::min(planned_end_ns, monotonic_ns());
  for (Thread& thread : threads) thread.thread.join();
  for (const Thread& thread : threads)
    if (thread.error) std::rethrow_exception(thread.error);
  if (unreachable)
    throw StartError("no connection to " + spec.url.authority + " could be opened: " + std::strerror(opening_errno) + "; is the server running there?");

  LoadResult result{Recorder(0, classes, threads.front().recorder->own_schedule()), requests.class_sizes_bytes(), {}, 0, options.source_addresses, stop};
  for (const Thread& thread : threads) {
    result.recorder.merge(*thread.recorder);
    result.thread_cpu_s.push_back(thread.client->cpu_s());
  }
  result.duration_s = static_cast<double>(std::max<std::int64_t>(0, phases.end_ns - start_ns)) * 1e-9;
  return result;
}

}  // namespace bakeoff
