#include "core/server.h"

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
#include "core/files/shared_descriptor_table.h"
#include "core/sharing/lock.h"
#include "core/files/shared_cache.h"

namespace bakeoff {
namespace {

// What one receive takes at most, and one read of an uncached file.
constexpr std::size_t scratch_bytes = 64 * 1024;

// SIGTERM and SIGINT become a descriptor that any loop can watch; threads made later inherit the mask.
int open_stop_fd() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const int fd = ::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) throw StartError(std::string("no descriptor for signals can be had: ") + std::strerror(errno));
  return fd;
}

// Descriptor numbers stay below what the tables hold: the kernel gives the lowest that is free.
void limit_descriptors(int descriptors) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = static_cast<rlim_t>(descriptors);
  ::setrlimit(RLIMIT_NOFILE, &limit);
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

Worker::Worker(Server& its_server, WorkerStats& its_stats, std::unique_ptr<Clock> its_clock)
    : server(its_server),
      stats(its_stats),
      clock(*its_clock),
      head_end(its_server.options().align_heads),
      own_clock_(std::move(its_clock)),
      scratch_memory_(std::make_unique_for_overwrite<char[]>(scratch_bytes)) {
  scratch = {scratch_memory_.get(), scratch_bytes};
}

void Worker::waited(const Poller& poller, std::size_t ready) {
  clock.refresh();
  stats.polls.add();
  stats.poll_ready.add(ready);
  stats.poll_watched.add(poller.watched());
}

Server::Server(const Options& options, const Architecture& architecture, Sharing sharing)
    : options_(options),
      architecture_(architecture),
      root_(options.root),
      listeners_(Listener::open_all(options_)),
      listener_(&listeners_.front()),
      body_(options.body, options.auto_limit_bytes),
      receive_flags_(options.waits_in_calls ? 0 : MSG_DONTWAIT),
      stop_fd_(open_stop_fd()),
      stats_(architecture.name) {
  const FileCache::Settings settings = cache_settings(options_);
  switch (sharing) {
    case Sharing::nobody:
      cache_memory_ = std::make_unique<PrivateCacheMemory>(std::make_unique<NoLock>(), settings.entries);
      break;
    case Sharing::threads:
      cache_memory_ = std::make_unique<PrivateCacheMemory>(std::make_unique<ThreadLock>(), settings.entries);
      break;
    case Sharing::processes: {
      ledger_ = std::make_unique<Ledger>(options_.descriptors, options_.workers);
      auto memory = std::make_unique<SharedCacheMemory>(settings, *ledger_);
      shared_cache_ = memory.get();
      cache_memory_ = std::move(memory);
      break;
    }
  }
  cache_ = std::make_unique<FileCache>(settings, root_, body_, *cache_memory_);
}

Server::~Server() { ::close(stop_fd_); }

void Server::listen_as(int number, bool descriptors_are_shared) {
  if (!options_.reuseport) return;
  if (!descriptors_are_shared) {
    std::vector<Listener> mine;
    mine.push_back(std::move(listeners_[static_cast<std::size_t>(number)]));
    listeners_ = std::move(mine);  // closes the others' here
    number = 0;
  }
  listener_ = &listeners_[static_cast<std::size_t>(number)];
}

std::unique_ptr<Worker> Server::make_worker(int number) {
  if (number < 0 || number >= most_workers) {
    throw StartError("more than " + std::to_string(most_workers) + " workers are not counted; use fewer --workers");
  }
  return std::make_unique<Worker>(*this, stats_.of_worker(number));
}

std::unique_ptr<Poller> Server::make_poller() {
  const Ledger::Window window(ledger());
  std::unique_ptr<Poller> poller = bakeoff::make_poller(options_.poller, options_.descriptors);
  if (ledger() != nullptr && poller->descriptor() >= 0) ledger()->note(poller->descriptor());
  return poller;
}

Listener::Accepted Server::accept(Worker& worker) {
  const Ledger::Window window(ledger());
  const Listener::Accepted accepted = listener_->accept();
  switch (accepted.outcome) {
    case Listener::Outcome::accepted:
      worker.stats.accepts.add();
      if (ledger() != nullptr) ledger()->note(accepted.fd);
      break;
    case Listener::Outcome::none: worker.stats.accepts_empty.add(); break;
    case Listener::Outcome::exhausted:
      worker.stats.accepts_failed.add();
      cache_->shed(16);  // descriptors that only save time give way to those that serve
      break;
  }
  return accepted;
}

void Server::close_connection(int fd) {
  if (ledger() != nullptr) {
    ledger()->close(fd);
  } else {
    ::close(fd);
  }
}

void Server::announce_ready() {
  nlohmann::ordered_json ready;
  ready["event"] = "ready";
  ready["server"] = architecture_.name;
  ready["pid"] = ::getpid();
  ready["address"] = options_.address;
  ready["port"] = listener_->port();
  ready["workers"] = options_.workers;
  ready["options"] = to_json(options_, architecture_);
  std::cout << ready.dump() << std::endl;
}

void Server::print_statistics() { std::cout << stats_.to_json().dump() << std::endl; }

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
    return fail(error.what(), 2);
  } catch (const StartError& error) {
    return fail(error.what(), 4);
  } catch (const std::bad_alloc&) {
    return fail("out of memory; use fewer --workers, --connections or --cache-bytes", 4);
  }
}

}  // namespace bakeoff
