#include "core/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <iostream>

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/patient_output.h"
#include "core/base/signals.h"
#include "core/base/standard_output.h"
#include "core/base/untrusted.h"
#include "core/files/shared_cache.h"
#include "core/files/shared_descriptor_table.h"
#include "core/sharing/lock.h"

namespace bakeoff {
namespace {

// What one receive takes at most, and one read of an uncached file.
constexpr std::size_t scratch_bytes = 64 * 1024;

// For the last line, while the memory of the server's connections may still be taken.
constexpr std::size_t memory_for_the_end_bytes = 256 * 1024;
// How long the last line waits for a reader that takes nothing of it.
constexpr int statistics_patience_ms = 2000;

// The signals become a descriptor that any loop can watch; threads made later inherit the mask.
int open_stop_fd() {
  const sigset_t stop = stop_signals();
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const int fd = ::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) throw StartError(std::string("cannot create a descriptor for signals: ") + std::strerror(errno));
  return fd;
}

int open_drain_fd() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw StartError(std::string("cannot create a descriptor for draining: ") + std::strerror(errno));
  return fd;
}

// Descriptor numbers stay below what the tables hold: the kernel gives the lowest that is free.
void limit_descriptors(int descriptors) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = static_cast<rlim_t>(descriptors);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Listener::Settings listener_settings(const Options& options, const Architecture& architecture) {
  Listener::Settings settings;
  settings.address = options.address;
  settings.port = options.port;
  settings.backlog = options.backlog;
  settings.congestion = options.congestion;
  settings.send_buffer_bytes = options.send_buffer_bytes;
  if (options.defer_accept)
    settings.defer_accept_s = static_cast<int>(std::max<std::int64_t>(1, options.request_timeout_ms / 1000));
  settings.reuseport = options.reuseport;
  settings.accept_blocks = architecture.waiting == Waiting::in_calls;
  settings.connections_block = options.send == Sending::blocking;
  const std::int64_t shortest_ms =
      std::min({options.request_timeout_ms, options.idle_timeout_ms, options.send_timeout_ms});
  const std::int64_t longest_tick_ms = options.admission == Admission::close_idle ? 100 : 1000;
  settings.tick_ms = std::clamp<std::int64_t>(shortest_ms / 4, 20, longest_tick_ms);
  return settings;
}

Occupancy::Settings occupancy_settings(const Options& options) {
  return {.connections = options.connections,
          .most_processes = Server::most_workers,
          .descriptors = options.descriptors,
          .closes_idle = options.admission == Admission::close_idle};
}

FileCache::Settings cache_settings(const Options& options) {
  FileCache::Settings settings;
  settings.paths = options.cache_paths;
  settings.heads = options.cache_heads;
  settings.files = options.cache_files;
  settings.align_heads = options.align_heads;
  settings.entries = static_cast<std::size_t>(options.cache_entries);
  settings.bytes = options.cache_bytes;
  settings.valid_ms = options.cache_valid_ms;
  return settings;
}

}  // namespace

sigset_t stop_signals() {
  // As they were at the start: later a worker's process ignores what its parent heeds.
  static const sigset_t stop = heeded({SIGTERM, SIGINT, SIGQUIT, SIGHUP});
  return stop;
}

Worker::Worker(Server& its_server, int number, WorkerStats& its_stats, std::unique_ptr<Clock> its_clock)
    : server(its_server),
      listener(its_server.listener_of(number)),
      cache(find_cache()),
      stats(its_stats),
      clock(*its_clock),
      head_end(its_server.options().align_heads),
      own_clock_(std::move(its_clock)),
      scratch_memory_(std::make_unique_for_overwrite<char[]>(scratch_bytes)) {
  scratch = {scratch_memory_.get(), scratch_bytes};
  if (server.trace() == nullptr) return;
  own_trace_ = std::make_unique<TraceRecorder>(*server.trace(), "worker");
  trace = own_trace_.get();
  be_called("worker", number);
}

FileCache& Worker::find_cache() {
  if (server.shared_cache() != nullptr) return *server.shared_cache();
  const FileCache::Settings settings = cache_settings(server.options());
  own_cache_memory_ = std::make_unique<PrivateCacheMemory>(std::make_unique<NoLock>(), settings.entries);
  own_cache_ = std::make_unique<FileCache>(settings, server.root(), server.body(), *own_cache_memory_);
  return *own_cache_;
}

void Worker::waited(const Poller& poller, std::size_t ready) {
  if (trace != nullptr) trace->end_wait(ready);
  clock.refresh();
  stats.polls.add();
  stats.poll_ready.add(ready);
  stats.poll_watched.add(poller.watched());
}

Server::Server(const Options& options, const Architecture& architecture, Sharing sharing)
    : options_(options),
      architecture_(architecture),
      root_(options.root),
      listeners_(Listener::open_all(listener_settings(options_, architecture_), options_.workers)),
      body_(options.body, options.auto_limit_bytes),
      receive_flags_(waits_in_calls() ? 0 : MSG_DONTWAIT),
      stop_fd_(open_stop_fd()),
      drain_fd_(open_drain_fd()),
      occupancy_(occupancy_settings(options_)),
      stats_(architecture.name),
      trace_(options_.trace_events > 0 ? std::make_unique<TraceRegion>(options_.trace_events) : nullptr),
      memory_for_the_end_(std::make_unique_for_overwrite<char[]>(memory_for_the_end_bytes)) {
  root_.check_kernel();
  const FileCache::Settings settings = cache_settings(options_);
  if (sharing != Sharing::processes) descriptors_ = std::make_unique<PrivateDescriptorTable>();
  switch (sharing) {
    case Sharing::nobody: return;
    case Sharing::threads:
      cache_memory_ = std::make_unique<PrivateCacheMemory>(std::make_unique<ThreadLock>(), settings.entries);
      break;
    case Sharing::processes: {
      auto descriptors = std::make_unique<SharedDescriptorTable>(options_.descriptors, options_.workers);
      auto memory = std::make_unique<SharedCacheMemory>(settings, *descriptors);
      shared_descriptors_ = descriptors.get();
      descriptors_ = std::move(descriptors);
      shared_cache_memory_ = memory.get();
      cache_memory_ = std::move(memory);
      break;
    }
  }
  shared_cache_ = std::make_unique<FileCache>(settings, root_, body_, *cache_memory_);
}

Server::~Server() {
  ::close(stop_fd_);
  ::close(drain_fd_);
}

const Listener& Server::listener_of(int number) const {
  return listeners_.size() == 1 ? listeners_.front() : listeners_.at(static_cast<std::size_t>(number));
}

void Server::close_listeners_but(int number) {
  if (listeners_.size() == 1) return;
  std::vector<Listener> mine;
  mine.push_back(std::move(listeners_[static_cast<std::size_t>(number)]));
  listeners_ = std::move(mine);
}

std::unique_ptr<Worker> Server::make_worker(int number) {
  if (number < 0 || number >= most_workers) {
    throw StartError("more than " + std::to_string(most_workers) + " workers cannot be counted; use fewer --workers");
  }
  return std::make_unique<Worker>(*this, number, stats_.of_worker(number));
}

std::unique_ptr<Poller> Server::make_poller() {
  const DescriptorTable::Window window(*descriptors_);
  std::unique_ptr<Poller> poller = bakeoff::make_poller(options_.poller, options_.descriptors);
  if (poller->descriptor() >= 0) descriptors_->note(poller->descriptor());
  return poller;
}

Listener::Accepted Server::accept(Worker& worker) {
  const DescriptorTable::Window window(*descriptors_);
  const bool recorded = worker.trace != nullptr && waits_in_calls();
  if (recorded) worker.trace->begin_wait();
  const Listener::Accepted accepted = accept_unless_draining(worker.listener);
  if (recorded) worker.trace->end_wait(accepted.outcome == Listener::Outcome::accepted ? 1 : 0);
  switch (accepted.outcome) {
    case Listener::Outcome::accepted:
      worker.stats.accepts.add();
      occupancy_.entered();
      descriptors_->note(accepted.fd);
      break;
    case Listener::Outcome::none: worker.stats.accepts_empty.add(); break;
    case Listener::Outcome::exhausted:
      worker.stats.accepts_failed.add();
      worker.cache.evict(16);  // descriptors that only save time give way to those that serve
      break;
  }
  return accepted;
}

// Who waits in the call is woken by the end of the listening socket, which is an error of it otherwise.
Listener::Accepted Server::accept_unless_draining(const Listener& listener) const {
  constexpr Listener::Accepted nobody{Listener::Outcome::none, -1};
  if (draining()) return nobody;
  try {
    return listener.accept();
  } catch (const StartError&) {
    if (draining()) return nobody;
    throw;
  }
}

void Server::close_connection(int fd) {
  occupancy_.left(fd);
  descriptors_->close(fd);
}

SharedDescriptorTable& Server::shared_descriptors() {
  BAKEOFF_CHECK(shared_descriptors_ != nullptr);
  return *shared_descriptors_;
}

SharedCacheMemory& Server::shared_cache_memory() {
  BAKEOFF_CHECK(shared_cache_memory_ != nullptr);
  return *shared_cache_memory_;
}

bool Server::drains_after_signal() {
  signalfd_siginfo signal;
  if (::read(stop_fd_, &signal, sizeof signal) < 0) return draining();  // somebody else has it
  if (options_.drain_ms > 0 && !draining()) {
    begin_drain();
    return true;
  }
  ending_ = true;
  return false;
}

void Server::wait_for_end_of_drain() const {
  while (draining()) ::pause();
}

void Server::begin_drain() {
  end_->until_ms = monotonic_ns() / 1'000'000 + options_.drain_ms;
  end_->draining = true;
  for (const Listener& listener : listeners_) ::shutdown(listener.fd(), SHUT_RDWR);
  ::eventfd_write(drain_fd_, 1);
}

bool Server::asked_to_end() const {
  if (ending_ || (draining() && monotonic_ns() / 1'000'000 >= drain_until_ms())) return true;
  pollfd stop{stop_fd_, POLLIN, 0};
  return ::poll(&stop, 1, 0) == 1;
}

void Server::announce_ready() {
  if (listeners_.front().is_at_every_address())
    std::cerr << architecture_.name << ": it listens at every address of this machine: whoever reaches one of them can "
              << "read " << visible(options_.root) << "; --address=IP names one" << std::endl;
  nlohmann::ordered_json ready;
  ready["event"] = "ready";
  ready["server"] = architecture_.name;
  ready["pid"] = ::getpid();
  ready["address"] = options_.address;
  ready["port"] = listeners_.front().port();
  ready["workers"] = options_.workers;
  ready["options"] = to_json(options_, architecture_);
  try {
    write_to_standard_output(json_text(ready) + "\n");
  } catch (const StartError& error) {
    // Nobody learns the port. The workers are there already, and end with this process.
    std::cerr << architecture_.name << ": " << error.what() << std::endl;
    std::_Exit(4);
  }
}

// Piece by piece: there may be thousands of workers, and no memory left but what was set aside for this.
void Server::print_statistics() {
  memory_for_the_end_.reset();
  PatientOutput out(STDOUT_FILENO, statistics_patience_ms);
  try {
    const std::span<const WorkerStats> workers = stats_.used();
    out.write("{\"event\":\"statistics\",\"server\":\"" + std::string(architecture_.name) + "\",\"total\":");
    out.write(total_json(workers).dump());
    out.write(",\"workers\":[");
    for (std::size_t i = 0; i < workers.size(); ++i) {
      if (i > 0) out.write(",");
      out.write(to_json(workers[i]).dump());
    }
    out.write("]}\n");
  } catch (const std::bad_alloc&) {
    PatientOutput(STDERR_FILENO, statistics_patience_ms).write("no memory to print the statistics with\n");
  }
  if (!out.complete())
    PatientOutput(STDERR_FILENO, statistics_patience_ms).write("nobody reads the statistics on standard output\n");
}

const char* what_ended_it(const std::exception& error) {
  const bool heap =
      dynamic_cast<const std::bad_alloc*>(&error) != nullptr && dynamic_cast<const NoEventMemory*>(&error) == nullptr;
  return heap ? "out of memory; use fewer --workers, --connections or --cache-bytes" : error.what();
}

int server_main(int argc, char** argv, const Architecture& architecture, Sharing sharing,
                void (*serve)(Server& server)) {
  const auto fail = [&](const char* cause, int status) {
    std::cerr << architecture.name << ": " << cause << '\n';
    return status;
  };
  try {
    const std::optional<Options> options = parse_options(argc, argv, architecture);
    if (!options) return 0;
    limit_descriptors(options->descriptors);
    Server server(*options, architecture, sharing);
    serve(server);
    server.print_statistics();
    return 0;
  } catch (const UsageError& error) {
    return fail(visible(error.what(), "\n\t").c_str(), 2);
  } catch (const std::exception& error) {
    return fail(what_ended_it(error), 4);
  }
}

}  // namespace bakeoff
