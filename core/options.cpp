#include "core/options.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <iostream>
#include <limits>
#include <sstream>

#include <boost/program_options.hpp>
#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/base/errors.h"

namespace bakeoff {
namespace po = boost::program_options;
namespace {

std::string_view name_of(Sending value) {
  switch (value) {
    case Sending::nonblocking: return "nonblocking";
    case Sending::blocking: return "blocking";
    case Sending::poll_first: return "poll-first";
    case Sending::timed: return "timed";
  }
  BAKEOFF_CHECK(false);
}
std::string_view name_of(Favour value) {
  switch (value) {
    case Favour::arrival: return "arrival";
    case Favour::ready: return "ready";
    case Favour::accepting: return "accepting";
  }
  BAKEOFF_CHECK(false);
}
std::string_view name_of(Admission value) { return value == Admission::refuse ? "refuse" : "wait"; }
std::string_view name_of(Dispatch value) { return value == Dispatch::boss ? "boss" : "accept"; }
std::string_view name_of(ThreadKind value) { return value == ThreadKind::user ? "user" : "kernel"; }
std::string_view name_of(HelperKind value) { return value == HelperKind::processes ? "processes" : "threads"; }
using bakeoff::name_of;

template <class T>
std::string names(const std::vector<T>& values) {
  std::string text;
  for (const T value : values) {
    if (!text.empty()) text += ", ";
    text += name_of(value);
  }
  return text;
}

template <class T>
nlohmann::ordered_json names_json(const std::vector<T>& values) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const T value : values) list.push_back(std::string(name_of(value)));
  return list;
}

template <class T>
T choose(const std::string& option, const std::string& text, const std::vector<T>& values,
         const Architecture& architecture) {
  for (const T value : values) {
    if (text == name_of(value)) return value;
  }
  if (values.empty()) {
    throw UsageError("--" + option + " means nothing to " + std::string(architecture.name) + "; leave it out");
  }
  throw UsageError("--" + option + "=" + text + " is not for " + std::string(architecture.name) + "; it takes " +
                   names(values));
}

long long parse_number(const std::string& option, const std::string& text, long long least, long long most) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && least == most && value != least) {
    throw UsageError("--" + option + "=" + text + " is not to be had: it is always " + std::to_string(least) +
                     " here; leave it out");
  }
  if (!whole || value < least || value > most) {
    throw UsageError("--" + option + "=" + text + " is not a whole number from " + std::to_string(least) + " to " +
                     std::to_string(most));
  }
  return value;
}

// "..N": N, or fewer where descriptors are short.
int parse_bound(const std::string& option, const std::string& text, long long least, long long most,
                bool& may_be_fewer) {
  may_be_fewer = text.starts_with("..");
  return static_cast<int>(parse_number(option, may_be_fewer ? text.substr(2) : text, least, most));
}

bool parse_switch(const std::string& option, const std::string& text) {
  if (text == "on") return true;
  if (text == "off") return false;
  throw UsageError("--" + option + "=" + text + " is neither on nor off");
}

// Connections of one process when nobody says how many.
constexpr int most_connections_default = 32'768;

int raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  // Tables are sized by this bound: an unlimited one is cut to what one process can use in practice.
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 1'000'000);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1'000'000));
}

// One line of the option table: how it is typed, what it does, how it is read. The help is made from the same table.
struct Row {
  std::string name;
  std::string value;
  std::string help;
  std::function<void(const std::string&)> read;
};

// Bounds that were typed as "..N".
struct Flexible {
  bool connections = false;
  bool cache_entries = false;
};

std::vector<Row> table(Options& options, Flexible& flexible, const Architecture& architecture) {
  const auto number = [](std::string name, int& target, long long least, long long most) {
    return [=, &target](const std::string& text) { target = static_cast<int>(parse_number(name, text, least, most)); };
  };
  const auto duration = [](std::int64_t& target) {
    return [&target](const std::string& text) { target = parse_duration_ms(text); };
  };
  const auto positive_duration = [](std::string name, std::int64_t& target) {
    return [=, &target](const std::string& text) {
      target = parse_duration_ms(text);
      if (target <= 0) throw UsageError("--" + name + "=" + text + " must be longer than nothing");
    };
  };
  const auto toggle = [](std::string name, bool& target) {
    return [=, &target](const std::string& text) { target = parse_switch(name, text); };
  };
  const auto one_of = [&architecture](std::string name, auto& target, const auto& values) {
    return [=, &target, &architecture](const std::string& text) { target = choose(name, text, values, architecture); };
  };
  const int most = std::numeric_limits<int>::max();
  return {
      {"root", "DIR", "directory whose files are served (required)",
       [&](const std::string& text) { options.root = text; }},
      {"address", "IP", "IPv4 or IPv6 address to listen at [127.0.0.1]",
       [&](const std::string& text) { options.address = text; }},
      {"port", "N", "port to listen at; 0: any free one, told in the ready line [8080]",
       [&](const std::string& text) {
         options.port = static_cast<std::uint16_t>(parse_number("port", text, 0, 65535));
       }},
      {"workers", "N", std::string(architecture.workers_are),
       number("workers", options.workers, architecture.workers_least, architecture.workers_most)},
      {"connections", "N",
       "most connections at once, over all workers; ..N: fewer where descriptors are short [what they allow]",
       [&, most](const std::string& text) {
         options.connections = parse_bound("connections", text, 1, most, flexible.connections);
       }},
      {"poller", "NAME", "event mechanism: " + names(architecture.pollers),
       one_of("poller", options.poller, architecture.pollers)},
      {"body", "NAME", "how bodies are sent: " + names(architecture.bodies),
       one_of("body", options.body, architecture.bodies)},
      {"auto-limit", "SIZE", "largest body that --body=auto sends from user memory together with the head [24K]",
       [&](const std::string& text) { options.auto_limit_bytes = parse_size_bytes(text); }},
      {"send", "NAME", "sockets while sending: " + names(architecture.sends),
       one_of("send", options.send, architecture.sends)},
      {"accept-limit", "N", "accepts per readiness of the listening socket; 0: until there are no more [0]",
       number("accept-limit", options.accept_limit, 0, most)},
      {"admission", "NAME", "above --connections: wait (leave them in the backlog) or refuse (answer 503) [wait]",
       one_of("admission", options.admission, std::vector{Admission::wait, Admission::refuse})},
      {"cache-paths", "on|off", "remember which file a name means [on]", toggle("cache-paths", options.cache_paths)},
      {"cache-heads", "on|off", "remember response heads [on]", toggle("cache-heads", options.cache_heads)},
      {"cache-files", "on|off", "remember open descriptors, mappings or contents [on]",
       toggle("cache-files", options.cache_files)},
      {"cache-entries", "N", "files the cache knows at most; ..N: fewer where descriptors are short [..4096]",
       [&](const std::string& text) {
         options.cache_entries = parse_bound("cache-entries", text, 0, 10'000'000, flexible.cache_entries);
       }},
      {"cache-bytes", "SIZE", "contents and mappings the cache holds at most [128M]",
       [&](const std::string& text) { options.cache_bytes = parse_size_bytes(text); }},
      {"cache-valid", "TIME", "how long a file is served before it is looked at again; 0s: for ever [60s]",
       duration(options.cache_valid_ms)},
      {"align-heads", "on|off", "heads begin at multiples of 32 bytes and are padded to one [off]",
       toggle("align-heads", options.align_heads)},
      {"residency", "NAME", "check before a body is sent: " + names(architecture.residencies),
       one_of("residency", options.residency, architecture.residencies)},
      {"request-timeout", "TIME", "for a whole request head, from its first byte [15s]",
       positive_duration("request-timeout", options.request_timeout_ms)},
      {"idle-timeout", "TIME", "between requests of one connection [60s]",
       positive_duration("idle-timeout", options.idle_timeout_ms)},
      {"send-timeout", "TIME", "for a reader that takes nothing [60s]",
       positive_duration("send-timeout", options.send_timeout_ms)},
      {"backlog", "N", "connections that the kernel holds before they are accepted [4096]",
       number("backlog", options.backlog, 1, 1'000'000)},
      {"congestion", "NAME", "TCP congestion control [cubic]",
       [&](const std::string& text) { options.congestion = text; }},
      {"send-buffer", "SIZE", "socket send buffer; 0: as the kernel tunes it [0]",
       [&](const std::string& text) {
         const std::uint64_t bytes = parse_size_bytes(text);
         if (bytes > (1u << 30)) throw UsageError("--send-buffer=" + text + " is more than 1 GiB");
         options.send_buffer_bytes = static_cast<int>(bytes);
       }},
      {"defer-accept", "on|off", "accept a connection only once it has sent something [off]",
       toggle("defer-accept", options.defer_accept)},
      {"dynamic", "on|off", "answer targets like /dynamic/burn-200us/wait-5ms/size-1000 with replies made up [off]",
       toggle("dynamic", options.dynamic)},
      {"helpers", "NAME", "who waits for the disk: " + names(architecture.helpers),
       one_of("helpers", options.helpers, architecture.helpers)},
      {"dispatch", "NAME", "who accepts: " + names(architecture.dispatches),
       one_of("dispatch", options.dispatch, architecture.dispatches)},
      {"threads", "NAME", "kind of the threads: " + names(architecture.thread_kinds),
       one_of("threads", options.threads, architecture.thread_kinds)},
      {"favour", "NAME", "what goes first, new clients or connections that are ready: " + names(architecture.favours),
       one_of("favour", options.favour, architecture.favours)},
      {"reuseport", "on|off", "a listening socket for each worker (SO_REUSEPORT) [off]",
       toggle("reuseport", options.reuseport)},
      {"queue-bound", "N", "events that a stage's queue holds at most; a miss beyond it is answered 503 [1024]",
       number("queue-bound", options.queue_bound, 1, 10'000'000)},
      {"thread-control", "TIME",
       "how often the thread-pool controller looks at the queues; 0s: off, all threads from the start [2s]",
       duration(options.thread_control_ms)},
      {"batch-control", "on|off", "the batching controller: batches as small as throughput allows [off]",
       toggle("batch-control", options.batch_control)},
      {"overload-target", "TIME",
       "the overload controller admits misses as long as 90 % of them take no longer; 0s: off [0s]",
       duration(options.overload_target_ms)},
  };
}

bool means_nothing(const Row& row, const Architecture& architecture) {
  return (row.name == "poller" && architecture.pollers.empty()) ||
         (row.name == "helpers" && architecture.helpers.empty()) ||
         (row.name == "accept-limit" && !architecture.accepts_in_batches) ||
         (row.name == "dispatch" && architecture.dispatches.empty()) ||
         (row.name == "threads" && architecture.thread_kinds.empty()) ||
         (row.name == "favour" && architecture.favours.empty()) ||
         (row.name == "reuseport" && !architecture.can_listen_apart) ||
         ((row.name == "queue-bound" || row.name == "thread-control" || row.name == "batch-control" ||
           row.name == "overload-target") &&
          !architecture.has_stages);
}

// Factors that are each fine and mean nothing together.
void check_together(const Options& options, const Architecture& architecture, bool residency_given) {
  const auto refuse = [](const std::string& why) { throw UsageError(why); };
  if (options.root.empty()) refuse("--root is missing; give the directory whose files are to be served");
  if (options.residency == Residency::mincore && options.body != BodyKind::mmap) {
    refuse(
        "--residency=mincore looks at mapped files; use it with --body=mmap, or --residency=cachestat or nowait with "
        "--body=" +
        std::string(name_of(options.body)));
  }
  if (options.body == BodyKind::mmap &&
      (options.residency == Residency::cachestat || options.residency == Residency::nowait)) {
    refuse("--residency=" + std::string(name_of(options.residency)) +
           " looks at open files; use --residency=mincore with --body=mmap");
  }
  if (residency_given && options.body == BodyKind::buffer && options.residency != Residency::none) {
    refuse("--residency means nothing with --body=buffer: what is sent is in the server's own memory; leave it out");
  }
  if (options.admission == Admission::refuse &&
      (!architecture.can_refuse || (!architecture.dispatches.empty() && options.dispatch == Dispatch::accept))) {
    refuse(
        "--admission=refuse means nothing here: while every worker serves a connection, nobody is free to refuse "
        "another; use --admission=wait");
  }
  if (!is_supported(options.residency)) {
    refuse("--residency=cachestat needs Linux 6.5 or later; use --residency=nowait");
  }
  const bool kernel_threads = options.threads == ThreadKind::kernel && !architecture.thread_kinds.empty();
  if (architecture.connections_are_workers && options.connections != 0 && options.connections > options.workers) {
    refuse("--connections=" + std::to_string(options.connections) + " is more than " + std::string(architecture.name) +
           " holds with --workers=" + std::to_string(options.workers) +
           ": each worker serves one connection at a time; give as many workers");
  }
  if (kernel_threads && options.residency == Residency::always_absent && residency_given) {
    refuse("--residency means nothing with --threads=kernel: each thread waits for its own disk; leave it out");
  }
}

// Descriptors that are neither connections nor cached files: standard streams, listening socket, pollers, pipes.
int reserved_descriptors(const Options& options, const Architecture& architecture) {
  const bool pollers_in_one_table = !architecture.pollers.empty() && !architecture.descriptors_are_per_worker;
  return 64 + (pollers_in_one_table ? options.workers : 0) + (architecture.helpers.empty() ? 0 : 2 * options.workers) +
         (options.reuseport ? options.workers : 0);
}

void fit_descriptors(Options& options, const Architecture& architecture, bool entries_given, const Flexible& flexible) {
  options.descriptors = raise_descriptor_limit();
  // Processes with tables of their own share the connections between them.
  const int tables = architecture.descriptors_are_per_worker ? options.workers : 1;
  const int room = options.descriptors - reserved_descriptors(options, architecture);
  if (room < 2) {
    throw UsageError("the " + std::to_string(options.descriptors) +
                     " descriptors that this process may have are too few to serve with; raise the limit (ulimit -n)");
  }
  if (options.connections == 0 && architecture.connections_are_threads) {
    options.connections = std::min(1024, room / 2);
  } else if (options.connections == 0) {
    options.connections = architecture.connections_are_workers
                              ? options.workers
                              : std::clamp(room - std::min(4096, room / 4), 1, most_connections_default) * tables;
  }
  if (flexible.connections) {
    const int most_each = std::max(1, room - std::min(options.cache_entries, room / 4) - 1);
    options.connections = static_cast<int>(std::min<long long>(options.connections, 1LL * most_each * tables));
  }
  const int each = (options.connections + tables - 1) / tables;
  if (each > room - 1) {
    const int needed = (options.connections - 1) / (room - 1) + 1;
    throw UsageError("--connections=" + std::to_string(options.connections) + " needs more descriptors than the " +
                     std::to_string(options.descriptors) +
                     " that this process may have; raise the limit (ulimit -n), or use symped with --workers=" +
                     std::to_string(needed));
  }
  // uncached keeps a descriptor open per request in progress: as many again as connections.
  const int left = room - each;
  const bool entries_hold = options.body == BodyKind::sendfile || options.body == BodyKind::automatic;
  if (options.cache_entries > left) {
    if (entries_given && !flexible.cache_entries && entries_hold) {
      throw UsageError("--cache-entries=" + std::to_string(options.cache_entries) +
                       " with --connections=" + std::to_string(options.connections) +
                       " needs more descriptors than the " + std::to_string(options.descriptors) +
                       " that a process may have; at most " + std::to_string(left) + " entries fit");
    }
    if (!entries_given || (flexible.cache_entries && entries_hold)) options.cache_entries = left;
  }
  // Tables are sized by descriptor numbers, in every process: a limit far above what can be needed would cost memory.
  const int open_at_once = options.descriptors - room +
                           (options.body == BodyKind::uncached || !options.cache_files ? 2 : 1) * each +
                           options.cache_entries;
  options.descriptors = std::min(options.descriptors, open_at_once);
}

}  // namespace

std::vector<EventMechanism> all_pollers() {
  return {EventMechanism::epoll, EventMechanism::poll, EventMechanism::select};
}

std::vector<BodyKind> all_bodies() {
  return {BodyKind::automatic, BodyKind::sendfile, BodyKind::mmap, BodyKind::buffer, BodyKind::uncached};
}

std::vector<Favour> all_favours() { return {Favour::arrival, Favour::ready, Favour::accepting}; }

std::int64_t parse_duration_ms(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const double factor = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : unit == "h" ? 3'600'000 : 0;
  if (error != std::errc() || factor == 0 || !(value >= 0) || value * factor > 1e12) {
    throw UsageError("\"" + std::string(text) + "\" is not a time; write it as 300ms, 15s or 2m");
  }
  return static_cast<std::int64_t>(value * factor);
}

std::uint64_t parse_size_bytes(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.size() == 3 && unit.ends_with("iB")) unit.remove_suffix(2);
  if (unit == "B") unit = "";
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : unit == "T" ? 40 : -1;
  if (error != std::errc() || shift < 0 || value > (std::numeric_limits<std::uint64_t>::max() >> 1 >> shift)) {
    throw UsageError("\"" + std::string(text) + "\" is not a size; write it as 4096, 64K, 128M or 1G");
  }
  return value << shift;
}

std::optional<Options> parse_options(int argc, const char* const* argv, const Architecture& architecture) {
  Options options;
  options.workers = architecture.workers_default;
  if (!architecture.pollers.empty()) options.poller = architecture.pollers.front();
  options.body = architecture.bodies.front();
  options.send = architecture.sends.front();
  options.residency = architecture.residencies.front();
  if (!architecture.helpers.empty()) options.helpers = architecture.helpers.front();
  if (!architecture.dispatches.empty()) options.dispatch = architecture.dispatches.front();
  if (!architecture.thread_kinds.empty()) options.threads = architecture.thread_kinds.front();
  if (!architecture.favours.empty()) options.favour = architecture.favours.front();

  Flexible flexible;
  const std::vector<Row> rows = table(options, flexible, architecture);
  po::options_description described(std::string(architecture.name) + " (" + std::string(architecture.paper) + ")");
  for (const Row& row : rows) {
    if (means_nothing(row, architecture)) {
      described.add_options()(row.name.c_str(), po::value<std::string>()->value_name(row.value), "means nothing here");
    } else {
      described.add_options()(row.name.c_str(), po::value<std::string>()->value_name(row.value), row.help.c_str());
    }
  }
  described.add_options()("describe", "print what this server accepts as JSON")("help", "print this");

  po::variables_map given;
  try {
    const po::positional_options_description no_words;
    po::store(po::command_line_parser(argc, argv)
                  .options(described)
                  .positional(no_words)
                  .style(po::command_line_style::default_style & ~po::command_line_style::allow_guessing)
                  .run(),
              given);
    po::notify(given);
  } catch (const po::error& error) {
    throw UsageError(std::string(error.what()) + "; --help lists the options");
  }
  if (given.count("help") != 0) {
    std::cout << described;
    return std::nullopt;
  }
  if (given.count("describe") != 0) {
    std::cout << describe(architecture).dump() << '\n';
    return std::nullopt;
  }
  for (const Row& row : rows) {
    if (given.count(row.name) == 0) continue;
    if (means_nothing(row, architecture)) {
      throw UsageError("--" + row.name + " means nothing to " + std::string(architecture.name) + "; leave it out");
    }
    try {
      row.read(given[row.name].as<std::string>());
    } catch (const UsageError& error) {
      const std::string_view what = error.what();
      throw UsageError(what.starts_with("--") ? std::string(what) : "--" + row.name + ": " + std::string(what));
    }
  }

  const bool residency_given = given.count("residency") != 0;
  if (!residency_given) {
    // The default check is the one that fits what is sent.
    if (options.residency == Residency::cachestat || options.residency == Residency::nowait ||
        options.residency == Residency::mincore) {
      options.residency = options.body == BodyKind::mmap       ? Residency::mincore
                          : options.body == BodyKind::buffer   ? Residency::none
                          : is_supported(Residency::cachestat) ? Residency::cachestat
                                                               : Residency::nowait;
    }
    if (options.threads == ThreadKind::kernel && !architecture.thread_kinds.empty())
      options.residency = Residency::none;
  }
  if (options.threads == ThreadKind::kernel && !architecture.thread_kinds.empty()) {
    if (given.count("poller") != 0) {
      throw UsageError(
          "--poller means nothing with --threads=kernel: each thread blocks in its own call; leave it out");
    }
    if (given.count("workers") != 0) {
      throw UsageError(
          "--workers means nothing with --threads=kernel: each thread waits for its own disk; leave it out");
    }
    if (given.count("send") != 0 && options.send != Sending::blocking) {
      throw UsageError("--send=" + std::string(name_of(options.send)) +
                       " means nothing with --threads=kernel: each thread blocks in its own call; leave it out");
    }
    if (given.count("favour") != 0) {
      throw UsageError(
          "--favour means nothing with --threads=kernel: the kernel chooses which thread goes first; leave it out");
    }
    options.send = Sending::blocking;
  }
  options.waits_in_calls =
      architecture.pollers.empty() || (options.threads == ThreadKind::kernel && !architecture.thread_kinds.empty());
  if (options.dynamic) options.deadline_grain_ms = 1;  // time-outs of seconds need no such grain, waits do
  check_together(options, architecture, residency_given);
  fit_descriptors(options, architecture, given.count("cache-entries") != 0, flexible);
  return options;
}

nlohmann::ordered_json to_json(const Options& options, const Architecture& architecture) {
  nlohmann::ordered_json json;
  json["root"] = options.root;
  json["workers"] = options.workers;
  json["connections"] = options.connections;
  if (!architecture.pollers.empty()) json["poller"] = name_of(options.poller);
  json["body"] = name_of(options.body);
  if (options.body == BodyKind::automatic) json["auto_limit_bytes"] = options.auto_limit_bytes;
  json["send"] = name_of(options.send);
  if (!architecture.favours.empty()) json["favour"] = name_of(options.favour);
  if (architecture.can_listen_apart) json["reuseport"] = options.reuseport;
  json["accept_limit"] = options.accept_limit;
  json["admission"] = name_of(options.admission);
  json["cache_paths"] = options.cache_paths;
  json["cache_heads"] = options.cache_heads;
  json["cache_files"] = options.cache_files;
  json["align_heads"] = options.align_heads;
  json["cache_entries"] = options.cache_entries;
  json["cache_bytes"] = options.cache_bytes;
  json["cache_valid_ms"] = options.cache_valid_ms;
  json["residency"] = name_of(options.residency);
  json["request_timeout_ms"] = options.request_timeout_ms;
  json["idle_timeout_ms"] = options.idle_timeout_ms;
  json["send_timeout_ms"] = options.send_timeout_ms;
  json["backlog"] = options.backlog;
  json["congestion"] = options.congestion;
  json["send_buffer_bytes"] = options.send_buffer_bytes;
  json["defer_accept"] = options.defer_accept;
  json["dynamic"] = options.dynamic;
  if (!architecture.helpers.empty()) json["helpers"] = name_of(options.helpers);
  if (!architecture.dispatches.empty()) json["dispatch"] = name_of(options.dispatch);
  if (!architecture.thread_kinds.empty()) json["threads"] = name_of(options.threads);
  if (architecture.has_stages) {
    json["queue_bound"] = options.queue_bound;
    json["thread_control_ms"] = options.thread_control_ms;
    json["batch_control"] = options.batch_control;
    json["overload_target_ms"] = options.overload_target_ms;
  }
  json["descriptors"] = options.descriptors;
  return json;
}

nlohmann::ordered_json describe(const Architecture& architecture) {
  nlohmann::ordered_json json;
  json["architecture"] = architecture.name;
  json["paper"] = architecture.paper;
  json["workers"] = {{"meaning", architecture.workers_are},
                     {"min", architecture.workers_least},
                     {"max", architecture.workers_most},
                     {"default", architecture.workers_default}};
  json["connections_are_workers"] = architecture.connections_are_workers;
  json["options"] = {{"poller", names_json(architecture.pollers)},
                     {"body", names_json(architecture.bodies)},
                     {"send", names_json(architecture.sends)},
                     {"residency", names_json(architecture.residencies)},
                     {"helpers", names_json(architecture.helpers)},
                     {"dispatch", names_json(architecture.dispatches)},
                     {"threads", names_json(architecture.thread_kinds)},
                     {"favour", names_json(architecture.favours)},
                     {"reuseport", architecture.can_listen_apart ? nlohmann::ordered_json({"off", "on"})
                                                                 : nlohmann::ordered_json::array()}};
  return json;
}

}  // namespace bakeoff
