#include "harness/load/load.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "core/base/errors.h"
#include "harness/load/ranks.h"
#include "harness/load/session_log.h"
#include "harness/load/shared_word.h"

namespace bakeoff {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t spare_descriptors = 64;
// Beyond some 10,000 connections between one pair of addresses the kernel's search for a free port takes most of the
// time that connecting takes (19,900 connections: 5.0 s from one address, 0.7 s from eight).
constexpr std::uint32_t connections_per_address = 2500;
// Streams of random numbers: the sources' are numbered by slots from 0, the models' by workers from here.
constexpr std::uint64_t first_model_stream = std::uint64_t{1} << 40;
constexpr std::uint64_t schedule_stream = std::uint64_t{1} << 41;

// How many workers of this process it takes to have its connections; raises the limit on descriptors as far as it may.
std::uint32_t choose_workers(const LoadSpec& spec, std::uint32_t connections) {
  const auto needed = [&](std::uint32_t workers) {
    return rlim_t{(connections + workers - 1) / workers} + spare_descriptors;
  };
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < needed(spec.threads)) {
    const rlimit raised{std::max(limit.rlim_max, needed(spec.threads)), std::max(limit.rlim_max, needed(spec.threads))};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
      limit = raised;
    } else {
      limit.rlim_cur = limit.rlim_max;
      setrlimit(RLIMIT_NOFILE, &limit);
    }
  }
  if (limit.rlim_cur <= 2 * spare_descriptors)
    throw StartError("a process may have only " + std::to_string(limit.rlim_cur) +
                     " descriptors here; raise the limit (ulimit -n)");
  std::uint32_t workers = spec.threads;
  while (needed(workers) > limit.rlim_cur) ++workers;
  return workers;
}

std::uint32_t choose_source_addresses(const LoadSpec& spec, const SocketAddress& target) {
  if (spec.source_addresses > 1 && !target.is_loopback_ipv4())
    throw UsageError("--source-addresses needs a target in 127.0.0.0/8");
  if (spec.source_addresses != 0) return spec.source_addresses;
  // Ports of closed connections stay taken for a while, so closing often needs more addresses too.
  const bool many = spec.connections > 4 * connections_per_address || spec.requests_per_connection != 0 ||
                    spec.model >= LoadModel::sessions;
  if (!many || !target.is_loopback_ipv4()) return 1;
  return std::max(8u, (spec.connections + connections_per_address - 1) / connections_per_address);
}

// The workers of one process among all of the run's.
struct Crew {
  std::uint32_t first = 0;
  std::uint32_t count = 1;
  std::uint32_t of = 1;
};

// What one worker of all the run's does: its number, and its share of the connections.
struct Share {
  std::uint32_t number;
  std::uint32_t of;
  std::uint32_t first_slot;
  std::uint32_t slots;
};

Share share_of(const LoadSpec& spec, std::uint32_t number, std::uint32_t of) {
  const std::uint32_t each = spec.connections / of, more = spec.connections % of;
  return {number, of, number * each + std::min(number, more), each + (number < more ? 1 : 0)};
}

std::optional<Schedule> make_schedule(const LoadSpec& spec, const Share& share, WaitingArrivals* waiting) {
  if (spec.times_s) return Schedule(spec.times_s, share.number, share.of);
  if (!spec.rate) return std::nullopt;
  return Schedule(*spec.rate, spec.arrivals, Random(spec.seed, schedule_stream), share.number, share.of, waiting);
}

struct Parts {
  std::unique_ptr<Model> model;
  std::unique_ptr<Source> source;
};

Parts make_parts(const LoadSpec& spec, const RequestFields& fields, const RequestTable& requests, const Share& share,
                 WaitingArrivals* waiting) {
  Parts parts;
  const Random random(spec.seed, first_model_stream + share.number);
  switch (spec.model) {
    case LoadModel::closed:
      parts.model = std::make_unique<ClosedModel>(
          ClosedModel::Options{spec.requests_per_connection, spec.pipeline, spec.think_s}, share.slots, random);
      break;
    case LoadModel::open:
      parts.model =
          std::make_unique<OpenModel>(*make_schedule(spec, share, waiting), spec.requests_per_connection == 1);
      break;
    case LoadModel::sessions:
      parts.model = std::make_unique<SessionModel>(spec.workload->clients, make_schedule(spec, share, waiting),
                                                   share.slots, random);
      break;
    case LoadModel::log: {
      auto model = std::make_unique<LogModel>(
          LogModel::Options{spec.log->path(), spec.log_think_s, spec.log_sessions, share.number, share.of}, fields,
          spec.workload ? &*spec.workload : nullptr, make_schedule(spec, share, waiting), share.slots);
      parts.source = std::make_unique<LogSource>(*model);
      parts.model = std::move(model);
      return parts;
    }
  }
  if (spec.workload && !spec.workload->popularity->order().empty()) {
    parts.source = std::make_unique<TraceSource>(requests, spec.workload->popularity->order(), share.number, share.of);
  } else if (spec.workload) {
    parts.source = std::make_unique<WorkloadSource>(requests, *spec.workload, spec.seed, share.first_slot, share.slots);
  } else {
    parts.source = std::make_unique<SingleSource>(requests);
  }
  return parts;
}

std::unique_ptr<RequestTable> make_requests(const LoadSpec& spec, const RequestFields& fields) {
  const bool close_each = spec.requests_per_connection == 1;
  if (spec.workload) return std::make_unique<RequestTable>(spec.url, fields, *spec.workload, close_each);
  return std::make_unique<RequestTable>(spec.url, fields, spec.expected_bytes, close_each);
}

// One worker's run and its results. BLOCKS: network, for the whole run.
Json work(const LoadSpec& spec, ClientOptions options, const RequestFields& fields, const RequestTable& requests,
          const Share& share, Phases& phases) {
  options.connections = share.slots;
  options.first_slot = share.first_slot;
  const Parts parts = make_parts(spec, fields, requests, share, options.waiting);
  const auto classes = spec.workload ? static_cast<std::uint32_t>(spec.workload->classes.size()) : 1;
  Recorder recorder(share.slots, std::max(classes, 1u), spec.rate.has_value() || spec.times_s != nullptr);
  Client client(options, *parts.source, *parts.model, recorder, phases);
  client.run();
  if (spec.hold_ns > 0) {
    ++phases.done;
    while (!phases.released) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {{"recorder", recorder.to_json()}, {"cpu_s", std::max(0.0, client.cpu_s() - client.spin_s())},
          {"spin_s", client.spin_s()},      {"user_s", client.user_s()},
          {"system_s", client.system_s()},  {"sessions", parts.model->sessions().to_json()}};
}

void merge(LoadResult& result, const Json& json) {
  result.recorder.merge(Recorder::from_json(json.at("recorder")));
  result.worker_cpu_s.push_back(json.at("cpu_s"));
  result.spin_s += json.at("spin_s").get<double>();
  result.user_s += json.at("user_s").get<double>();
  result.system_s += json.at("system_s").get<double>();
  result.sessions.merge(SessionCounts::from_json(json.at("sessions")));
}

// With a replacement for bytes that are no UTF-8: a message may hold any name.
std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// The processes that drive the connections; each sends its records through a pipe. They are processes, not threads,
// because the kernel looks up a descriptor faster in a table that is not shared (about 5 % of a request), and because
// each has its own limit on descriptors.
class Workers {
 public:
  Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() {
    for (const Worker& worker : workers_) {
      if (worker.pid > 0) {
        kill(worker.pid, SIGKILL);
        waitpid(worker.pid, nullptr, 0);
      }
      close(worker.pipe);
    }
  }

  template <class Task>
  void start(Task task) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw StartError(std::string("pipe2: ") + std::strerror(errno));
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) throw StartError(std::string("fork: ") + std::strerror(errno));
    if (pid > 0) {
      close(ends[1]);
      workers_.push_back({pid, ends[0]});
      return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_IGN);  // the parent ends the run for all
    std::string text;
    try {
      text = task().dump();
    } catch (const UsageError& error) {
      text = text_of({{"usage_error", error.what()}});
    } catch (const std::exception& error) {
      text = text_of({{"error", error.what()}});
    }
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t written = write(ends[1], text.data() + at, text.size() - at);
      if (written < 0 && errno != EINTR) _exit(1);
      if (written > 0) at += static_cast<std::size_t>(written);
    }
    _exit(0);
  }

  // How many have ended, or are about to.
  std::size_t ended() const {
    std::vector<pollfd> pipes;
    for (const Worker& worker : workers_) pipes.push_back({worker.pipe, POLLIN, 0});
    return static_cast<std::size_t>(std::max(0, poll(pipes.data(), pipes.size(), 0)));
  }
  bool all_ended() const { return ended() == workers_.size(); }
  std::size_t count() const { return workers_.size(); }

  // BLOCKS: until all have ended.
  void collect(LoadResult& result) {
    for (Worker& worker : workers_) {
      std::string text;
      std::array<char, 65536> buffer;
      for (ssize_t got = 1; got != 0;) {
        got = read(worker.pipe, buffer.data(), buffer.size());
        if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
        if (got < 0 && errno != EINTR) break;
      }
      waitpid(worker.pid, nullptr, 0);
      worker.pid = 0;
      const Json json = Json::parse(text, nullptr, false);
      if (json.is_discarded()) throw StartError("a worker of the load generator died before it reported its results");
      if (json.contains("usage_error")) throw UsageError(json.at("usage_error").get<std::string>());
      if (json.contains("error")) throw StartError(json.at("error").get<std::string>());
      merge(result, json);
    }
  }

 private:
  struct Worker {
    pid_t pid;
    int pipe;
  };
  std::vector<Worker> workers_;
};

// In memory that forked processes share.
struct SharedPhases {
  SharedPhases() {
    void* memory = mmap(nullptr, sizeof(Phases), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw StartError(std::string("mmap: ") + std::strerror(errno));
    phases = new (memory) Phases;
  }
  ~SharedPhases() { munmap(phases, sizeof(Phases)); }
  SharedPhases(const SharedPhases&) = delete;
  SharedPhases& operator=(const SharedPhases&) = delete;
  Phases* phases;
};

void nap(std::int64_t most_ns) {
  std::this_thread::sleep_for(std::chrono::nanoseconds(std::min<std::int64_t>(most_ns, 50'000'000)));
}

// From the first request to the end. Returns when the run's time is over, its work is done, or it is to stop.
void watch(Phases& phases, const Workers& workers, const std::atomic<bool>& stop,
           const std::function<void(const LoadProgress&)>& progress) {
  const std::int64_t start_ns = phases.start_ns, end_ns = phases.end_ns;
  std::int64_t next_report_ns = start_ns + 1'000'000'000;
  for (std::int64_t now_ns = monotonic_ns();
       now_ns < end_ns && !stop && !workers.all_ended() && phases.done < workers.count(); now_ns = monotonic_ns()) {
    nap(end_ns - now_ns);
    if (progress && now_ns >= next_report_ns) {
      progress({static_cast<double>(now_ns - start_ns) * 1e-9, phases.replies, phases.received_bytes, phases.errors});
      next_report_ns += 1'000'000'000;
    }
  }
  if (stop) phases.end_ns = std::min(end_ns, monotonic_ns());
}

// In turns: passes on which may begin, and tells when all workers rest. Returns when the last is over, or it is to
// stop.
void watch_turns(const LoadSpec& spec, Phases& phases, const Workers& workers, const std::atomic<bool>& stop,
                 const std::function<void(std::uint32_t)>& rests) {
  constexpr std::int64_t look_ns = 50'000'000;
  const auto over = [&] { return stop || workers.all_ended(); };
  for (std::uint32_t done = 0;; ++done) {
    if (rests) rests(done);
    const bool last = done > spec.turns;
    while (!last && *spec.turns_begun == done && !over()) wait_while(*spec.turns_begun, done, look_ns);
    if (last || stop) phases.end_ns = monotonic_ns();
    phases.went_on_ns = never_ns;
    phases.turn = done + 1;
    wake_all(phases.turn);
    if (last) return;
    const auto all = static_cast<std::uint32_t>(workers.count()) * (done + 1);
    for (std::uint32_t rested = phases.rested; rested < all && !over(); rested = phases.rested)
      wait_while(phases.rested, rested, look_ns);
    if (stop) phases.end_ns = monotonic_ns();
    if (over()) return;
  }
}

// The workers have measured, or are about to; their connections are open.
void hold(const LoadSpec& spec, Phases& phases, const Workers& workers, const std::atomic<bool>& stop) {
  const std::int64_t until_ns = monotonic_ns() + spec.hold_ns;
  const auto over = [&] { return stop || (spec.released != nullptr && *spec.released) || monotonic_ns() >= until_ns; };
  while ((phases.done < workers.count() || !over()) && !workers.all_ended())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  phases.released = true;
}

ClientOptions client_options(const LoadSpec& spec, const std::atomic<bool>& stop) {
  ClientOptions options;
  options.target = first_that_accepts(resolve(spec.url), spec.url, spec.connect_timeout_ns, stop);
  options.timeout_ns = spec.timeout_ns;
  options.connect_timeout_ns = spec.connect_timeout_ns;
  options.timeout_by_phase = spec.timeout_by_phase;
  options.verify_every = spec.verify_every;
  options.discard = spec.discard;
  options.reader_bytes_per_s = spec.reader_bytes_per_s;
  options.receive_buffer_bytes = spec.receive_buffer_bytes;
  options.source_addresses = choose_source_addresses(spec, options.target);
  if (spec.turns != 0) options.turns = {spec.turns, spec.warmup_ns, spec.duration_ns / spec.turns};
  return options;
}

// Ranks may have different numbers of workers, where limits on descriptors differ. The first of rank 0's is the run's
// first one.
void take_place(Ranks& ranks, Crew& crew) {
  Json counts = Json::array();
  for (const std::string& count : ranks.gather(std::to_string(crew.count)))
    counts.push_back(static_cast<std::uint32_t>(std::stoul(count)));
  const auto all = Json::parse(ranks.spread(counts.dump())).get<std::vector<std::uint32_t>>();
  crew.first = std::accumulate(all.begin(), all.begin() + ranks.number(), 0u);
  crew.of = std::accumulate(all.begin(), all.end(), 0u);
}

// A moment soon enough for nobody to notice, and late enough for all ranks to have heard of it; by this host's clock.
std::int64_t agree_on_begin(Ranks& ranks, const std::vector<ClockOffset>& clocks) {
  constexpr std::int64_t notice_ns = 50'000'000;
  Json moments = Json::array();
  if (ranks.number() == 0) {
    const std::int64_t begin_ns = ranks.now_ns() + notice_ns;
    for (const ClockOffset& clock : clocks) moments.push_back(begin_ns + clock.ahead_ns);
  }
  const Json told = Json::parse(ranks.spread(moments.dump()));
  // A clock that a test has run ahead is not the one that workers read.
  return told.at(ranks.number()).get<std::int64_t>() - (ranks.now_ns() - monotonic_ns());
}

// What rank 0 returns. Whole recorders are gathered and merged by the code that merges workers: the same addition of
// buckets as MPI_Reduce's, but of sparse histograms that grow to what they met, of slots that follow each other, and of
// times by clocks that differ, which no operation of MPI_Reduce knows.
LoadResult merge_ranks(const LoadSpec& spec, Ranks& ranks, const std::vector<ClockOffset>& clocks_before,
                       std::int64_t between_ns, const LoadResult& own) {
  const std::vector<ClockOffset> clocks_after = ranks.compare_clocks();
  const std::vector<std::string> texts = ranks.gather(text_of(own.to_json()));
  if (ranks.number() != 0) return own;
  LoadResult all;
  all.class_sizes_bytes = own.class_sizes_bytes;
  all.source_addresses = own.source_addresses;
  all.address = own.address;
  all.workers = 0;
  for (std::uint32_t rank = 0; rank < ranks.count(); ++rank) {
    RankResult one;
    one.host = ranks.host(rank);
    one.result = LoadResult::from_json(Json::parse(texts[rank]));
    one.connections = static_cast<std::uint32_t>(one.result.recorder.slots().size());
    one.clock_before = clocks_before[rank];
    one.clock_after = clocks_after[rank];
    one.between_ns = between_ns;
    all.recorder.merge(one.result.recorder);
    all.worker_cpu_s.insert(all.worker_cpu_s.end(), one.result.worker_cpu_s.begin(), one.result.worker_cpu_s.end());
    all.spin_s += one.result.spin_s;
    all.user_s += one.result.user_s;
    all.system_s += one.result.system_s;
    all.sessions.merge(one.result.sessions);
    all.duration_s = std::max(all.duration_s, one.result.duration_s);
    all.opening_s = std::max(all.opening_s, one.result.opening_s);
    all.workers += one.result.workers;
    all.interrupted |= one.result.interrupted;
    all.late_ns = std::max(all.late_ns, one.result.late_ns);
    all.ranks.push_back(std::move(one));
  }
  BAKEOFF_CHECK(all.recorder.slots().size() == spec.connections);
  return all;
}

}  // namespace

nlohmann::ordered_json LoadResult::to_json() const {
  return {{"recorder", recorder.to_json()},
          {"class_sizes_bytes", class_sizes_bytes},
          {"worker_cpu_s", worker_cpu_s},
          {"spin_s", spin_s},
          {"user_s", user_s},
          {"system_s", system_s},
          {"sessions", sessions.to_json()},
          {"duration_s", duration_s},
          {"opening_s", opening_s},
          {"workers", workers},
          {"address", address},
          {"source_addresses", source_addresses},
          {"interrupted", interrupted},
          {"late_ns", late_ns}};
}

LoadResult LoadResult::from_json(const nlohmann::ordered_json& json) {
  LoadResult result;
  result.recorder = Recorder::from_json(json.at("recorder"));
  json.at("class_sizes_bytes").get_to(result.class_sizes_bytes);
  json.at("worker_cpu_s").get_to(result.worker_cpu_s);
  json.at("spin_s").get_to(result.spin_s);
  json.at("user_s").get_to(result.user_s);
  json.at("system_s").get_to(result.system_s);
  result.sessions = SessionCounts::from_json(json.at("sessions"));
  json.at("duration_s").get_to(result.duration_s);
  json.at("opening_s").get_to(result.opening_s);
  json.at("workers").get_to(result.workers);
  json.at("source_addresses").get_to(result.source_addresses);
  json.at("address").get_to(result.address);
  json.at("interrupted").get_to(result.interrupted);
  json.at("late_ns").get_to(result.late_ns);
  return result;
}

std::int64_t start_skew_ns(const LoadResult& result) {
  if (result.ranks.empty()) return 0;
  const auto [first, last] =
      std::minmax_element(result.ranks.begin(), result.ranks.end(),
                          [](const RankResult& a, const RankResult& b) { return a.result.late_ns < b.result.late_ns; });
  return last->result.late_ns - first->result.late_ns;
}

std::string_view name_of(LoadModel model) {
  switch (model) {
    case LoadModel::open: return "open";
    case LoadModel::sessions: return "sessions";
    case LoadModel::log: return "wsesslog";
    case LoadModel::closed: break;
  }
  return "closed";
}

void check_load(const LoadSpec& spec, std::uint32_t processes) {
  if (spec.connections == 0) throw UsageError("--connections must be at least 1");
  if (spec.threads == 0 || spec.threads > 1024) throw UsageError("--threads must be from 1 to 1024");
  if (spec.threads > spec.connections)
    throw UsageError("there are fewer connections than threads; each thread needs at least one");
  if (std::uint64_t{spec.threads} * processes > spec.connections)
    throw UsageError(std::to_string(processes) + " ranks of " + std::to_string(spec.threads) + " threads share " +
                     std::to_string(spec.connections) + " connections; each thread needs at least one");
  if (spec.duration_ns <= 0 && spec.model != LoadModel::log) throw UsageError("--duration must be more than 0");
  if (spec.timeout_ns <= 0 || spec.connect_timeout_ns <= 0) throw UsageError("time-outs must be more than 0");
  if (spec.turns != 0 && (spec.model != LoadModel::closed || processes > 1))
    throw UsageError("--turns is for the closed loop of one process; an open loop's schedule cannot stand still");
  if (spec.pipeline == 0 || spec.pipeline > 1000) throw UsageError("--pipeline must be from 1 to 1000");
  if (spec.model == LoadModel::open && spec.requests_per_connection > 1)
    throw UsageError("with --rate, --requests-per-connection can only be 0 or 1");
  if (spec.model == LoadModel::open && !spec.rate && !spec.times_s)
    throw UsageError("an open loop needs a rate or a trace's times");
  if (spec.model == LoadModel::sessions && !spec.workload)
    throw UsageError("--sessions needs a --workload that describes them");
  if (spec.model == LoadModel::log && spec.log_sessions == 0) throw UsageError("--wsesslog needs at least 1 session");
}

LoadResult run_load(const LoadSpec& spec, const std::atomic<bool>& stop, const LoadWatcher& watcher, Ranks* ranks) {
  std::optional<RequestFields> fields;
  std::unique_ptr<RequestTable> requests;
  ClientOptions options;
  Crew crew;
  together(ranks, [&] {
    const std::uint32_t processes = ranks == nullptr ? 1 : ranks->count();
    check_load(spec, processes);
    fields.emplace(spec.url, spec.headers);
    crew.count = crew.of = choose_workers(spec, (spec.connections + processes - 1) / processes);
    options = client_options(spec, stop);
    requests = make_requests(spec, *fields);
  });
  if (ranks != nullptr) take_place(*ranks, crew);

  // What a log or a trace asks for, and in which order, is dealt out with its times. An arrival that finds no free
  // connection stays with its process: other hosts would learn of it too late to be of use.
  const bool one_schedule =
      crew.count > 1 && spec.rate && (spec.model == LoadModel::open || spec.model == LoadModel::sessions);
  std::unique_ptr<WaitingArrivals> waiting;
  std::optional<TraceRegion> trace;
  std::unique_ptr<SharedPhases> shared;
  Workers workers;
  bool opens_first = false, unreachable = false;
  const auto no_connection = [&] {
    return StartError("no connection to " + spec.url.authority + " could be opened: " +
                      std::strerror(shared->phases->opening_errno) + "; is the server running there?");
  };
  const std::int64_t opening_start_ns = monotonic_ns();
  together(ranks, [&] {
    if (one_schedule) waiting = std::make_unique<WaitingArrivals>(crew.count);
    options.waiting = waiting.get();
    if (spec.trace_events > 0) options.trace = &trace.emplace(spec.trace_events);
    shared = std::make_unique<SharedPhases>();
    for (options.worker = 0; options.worker < crew.count; ++options.worker) {
      const Share share = share_of(spec, crew.first + options.worker, crew.of);
      workers.start([&] { return work(spec, options, *fields, *requests, share, *shared->phases); });
    }
    const Phases& phases = *shared->phases;
    while (phases.settled < crew.count && !stop && workers.ended() == 0) nap(1'000'000);
    opens_first = phases.opened != 0 || phases.opening_errno != 0;
    unreachable = opens_first && phases.opened == 0;
    // Of several ranks none begins without the others; one process lets its workers end in order.
    if (unreachable && ranks != nullptr) throw no_connection();
  });
  Phases& phases = *shared->phases;
  std::vector<ClockOffset> clocks_before;
  std::int64_t begin_ns = monotonic_ns();
  const std::int64_t opened_ns = begin_ns;
  if (ranks != nullptr) {
    clocks_before = ranks->compare_clocks();
    begin_ns = agree_on_begin(*ranks, clocks_before);
  }
  const std::int64_t start_ns = begin_ns + spec.warmup_ns;
  const bool in_turns = spec.turns != 0;
  phases.start_ns = in_turns ? never_ns : start_ns;
  phases.end_ns = unreachable ? begin_ns : spec.duration_ns > 0 && !in_turns ? start_ns + spec.duration_ns : never_ns;
  phases.begin_ns.store(begin_ns, std::memory_order_release);
  if (in_turns && !unreachable) {
    watch_turns(spec, phases, workers, stop, watcher.rests);
  } else {
    if (watcher.announce && !unreachable) watcher.announce({start_ns, phases.end_ns});
    watch(phases, workers, stop, watcher.progress);
  }
  if (spec.hold_ns > 0) hold(spec, phases, workers, stop);
  LoadResult result;
  together(ranks, [&] { workers.collect(result); });
  if (unreachable) throw no_connection();
  if (spec.workload) {
    for (const FileClass& group : spec.workload->classes)
      result.class_sizes_bytes.push_back(static_cast<std::int64_t>(group.size_bytes));
  } else {
    result.class_sizes_bytes.push_back(spec.expected_bytes);
  }
  result.duration_s = static_cast<double>(std::max<std::int64_t>(
                          0, result.recorder.end_ns() - (in_turns ? result.recorder.start_ns() : start_ns))) *
                      1e-9;
  result.opening_s = opens_first ? static_cast<double>(opened_ns - opening_start_ns) * 1e-9 : 0;
  result.workers = crew.count;
  result.source_addresses = options.source_addresses;
  result.address = options.target.text();
  result.interrupted = stop;
  result.late_ns = phases.late_ns;
  return ranks == nullptr ? result : merge_ranks(spec, *ranks, clocks_before, monotonic_ns() - begin_ns, result);
}

}  // namespace bakeoff
