#include "core/options.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include <boost/program_options.hpp>
#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/standard_output.h"
#include "core/base/units.h"
#include "core/base/version.h"
#include "core/trace/region.h"

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
std::string_view name_of(AcceptPriority value) {
  switch (value) {
    case AcceptPriority::arrival: return "arrival";
    case AcceptPriority::ready: return "ready";
    case AcceptPriority::accepting: return "accepting";
  }
  BAKEOFF_CHECK(false);
}
std::string_view name_of(Waiting value) {
  switch (value) {
    case Waiting::in_calls: return "in-calls";
    case Waiting::by_readiness: return "by-readiness";
    case Waiting::by_completion: return "by-completion";
  }
  BAKEOFF_CHECK(false);
}
std::string_view name_of(Admission value) {
  switch (value) {
    case Admission::wait: return "wait";
    case Admission::refuse: return "refuse";
    case Admission::close_idle: return "close-idle";
  }
  BAKEOFF_CHECK(false);
}
using bakeoff::name_of;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// Words of earlier versions.
struct Renamed {
  std::string_view before, now;
};
constexpr Renamed renamed_options[] = {{"favour", "accept-priority"}};
constexpr Renamed renamed_values[] = {{"always-absent", "always-offload"}};

void reject_renamed(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (!word.starts_with("--")) continue;
    word = word.substr(2, word.find('=') - 2);
    for (const auto& [before, now] : renamed_options) {
      if (word == before) throw UsageError("--" + std::string(before) + " is now called --" + std::string(now));
    }
  }
}

// "..N": N, or fewer where descriptors are short.
int parse_bound(const std::string& option, const std::string& text, long long least, long long most,
                bool& may_be_fewer) {
  may_be_fewer = text.starts_with("..");
  return static_cast<int>(parse_number(option, may_be_fewer ? text.substr(2) : text, least, most));
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

// Bounds that were typed as "..N".
struct Flexible {
  bool connections = false;
  bool cache_entries = false;
};

// One of the values that the architecture has for a factor.
template <class T>
OptionRow factor(std::string name, std::string help, T& target, const std::vector<T>& values) {
  std::vector<std::pair<T, std::string>> all;
  for (const T value : values) all.emplace_back(value, std::string(name_of(value)));
  OptionRow row = choice_option(name, std::move(help), target, all);
  row.write = [=, &target](nlohmann::ordered_json& json) { json[result_key(name)] = name_of(target); };
  return row;
}

OptionRow positive_duration(std::string name, std::string help, std::int64_t& target_ms) {
  OptionRow row = duration_option(name, std::move(help), target_ms);
  row.read = [=, &target_ms](const std::string& text) {
    target_ms = parse_duration_ms(text);
    if (target_ms <= 0) throw UsageError("--" + name + "=" + text + " must be more than 0");
  };
  return row;
}

OptionRow bound_option(std::string name, std::string help, int& target, long long least, long long most,
                       bool& flexible) {
  OptionRow row = number_option(name, std::move(help), target, least, most);
  row.read = [=, &target, &flexible](const std::string& text) {
    target = parse_bound(name, text, least, most, flexible);
  };
  return row;
}

OptionRow text_option(std::string name, std::string value, std::string help, std::string& target) {
  OptionRow row{name, std::move(value), std::move(help)};
  row.read = [&target](const std::string& text) { target = text; };
  row.write = [=, &target](nlohmann::ordered_json& json) { json[result_key(name)] = target; };
  return row;
}

OptionRow only_if(bool applies, OptionRow row) {
  row.applies = applies;
  return row;
}

// Every option of a server of this architecture: those of all servers, then its own.
std::vector<OptionRow> table(Options& options, Flexible& flexible, const Architecture& architecture) {
  const int most = std::numeric_limits<int>::max();
  OptionRow address = text_option("address", "IP", "IPv4 or IPv6 address to listen at [127.0.0.1]", options.address);
  address.write = {};  // the ready line has it already, with the port that was found
  OptionRow port{"port", "N", "port to listen at; 0: any free one, named in the ready line [8080]"};
  port.read = [&options](const std::string& text) {
    options.port = static_cast<std::uint16_t>(parse_number("port", text, 0, 65535));
  };
  OptionRow auto_limit =
      size_option("auto-limit", "largest body that --body=auto sends from user memory together with the head [24K]",
                  options.auto_limit_bytes);
  auto_limit.write = [&options](nlohmann::ordered_json& json) {
    if (options.body == BodyKind::automatic) json["auto_limit_bytes"] = options.auto_limit_bytes;
  };
  OptionRow send_buffer{"send-buffer", "SIZE", "socket send buffer; 0: as the kernel tunes it [0]"};
  send_buffer.read = [&options](const std::string& text) {
    const std::uint64_t bytes = parse_size_bytes(text);
    if (bytes > (1u << 30)) throw UsageError("--send-buffer=" + text + " is more than 1 GiB");
    options.send_buffer_bytes = static_cast<int>(bytes);
  };
  send_buffer.write = [&options](nlohmann::ordered_json& json) {
    json["send_buffer_bytes"] = options.send_buffer_bytes;
  };

  std::vector<OptionRow> rows = {
      text_option("root", "DIR", "directory whose files are served (required)", options.root),
      address,
      port,
      number_option("workers", std::string(architecture.workers_are), options.workers, architecture.workers_least,
                    architecture.workers_most),
      bound_option(
          "connections",
          "most connections at once, over all workers; ..N: fewer where descriptors are short [what they allow]",
          options.connections, 1, most, flexible.connections),
      factor("poller", "event mechanism", options.poller, architecture.pollers),
      factor("body", "how bodies are sent", options.body, architecture.bodies),
      auto_limit,
      factor("send", "sockets while sending", options.send, architecture.sends),
      factor("accept-priority", "what goes first, new clients or connections that are ready", options.accept_priority,
             architecture.accept_priorities),
      only_if(architecture.can_listen_apart,
              switch_option("reuseport", "a listening socket for each worker (SO_REUSEPORT)", options.reuseport)),
      only_if(
          architecture.waiting == Waiting::by_readiness,
          number_option("accept-limit", "accepts per readiness of the listening socket; 0: until there are no more [0]",
                        options.accept_limit, 0, most)),
      factor("admission", "above --connections, leave clients in the backlog, answer 503, or close who is idle longest",
             options.admission, std::vector{Admission::wait, Admission::refuse, Admission::close_idle}),
      switch_option("cache-paths", "remember which file a name means", options.cache_paths),
      switch_option("cache-heads", "remember response heads", options.cache_heads),
      switch_option("cache-files", "remember open descriptors, mappings or contents", options.cache_files),
      switch_option("align-heads", "heads begin at multiples of 32 bytes and are padded to one", options.align_heads),
      bound_option("cache-entries", "files the cache knows at most; ..N: fewer where descriptors are short [..4096]",
                   options.cache_entries, 0, 10'000'000, flexible.cache_entries),
      size_option("cache-bytes", "contents and mappings the cache holds at most [128M]", options.cache_bytes),
      duration_option("cache-valid", "how long a file is served before it is looked at again; 0s: for ever [60s]",
                      options.cache_valid_ms),
      factor("residency", "check before a body is sent", options.residency, architecture.residencies),
      positive_duration("request-timeout", "for a whole request head, from its first byte [15s]",
                        options.request_timeout_ms),
      positive_duration("idle-timeout", "between requests of one connection [60s]", options.idle_timeout_ms),
      positive_duration("send-timeout", "for a reader that takes nothing [60s]", options.send_timeout_ms),
      duration_option("drain", "how long replies under way may take after a signal to end; 0s: no time [0s]",
                      options.drain_ms),
      number_option("backlog", "connections that the kernel holds before they are accepted [4096]", options.backlog, 1,
                    1'000'000),
      text_option("congestion", "NAME", "TCP congestion control [cubic]", options.congestion),
      send_buffer,
      switch_option("defer-accept", "accept a connection only once it has sent something", options.defer_accept),
      switch_option("dynamic", "answer targets like /dynamic/burn-200us/wait-5ms/size-1000 with synthetic replies",
                    options.dynamic),
      number_option("trace-events",
                    "record what each worker does, for bakeoff trace: so many events, the newest; 0: nothing [0]",
                    options.trace_events, 0, TraceRegion::most_events),
  };
  rows.insert(rows.end(), architecture.own_options.begin(), architecture.own_options.end());
  return rows;
}

std::string help_of(const OptionRow& row) {
  if (!row.applies) return "means nothing here";
  if (row.choices.empty()) return row.help;
  return row.help + ": " + joined(row.choices);
}

void read(const OptionRow& row, const std::string& text, const Architecture& architecture) {
  const std::string name(architecture.name);
  if (!row.applies) throw UsageError("--" + row.name + " means nothing to " + name + "; leave it out");
  for (const auto& [before, now] : renamed_values) {
    if (text == before) throw UsageError("--" + row.name + ": " + text + " is now called " + std::string(now));
  }
  if (!row.choices.empty() && std::find(row.choices.begin(), row.choices.end(), text) == row.choices.end()) {
    throw UsageError("--" + row.name + "=" + text + " is not for " + name + "; it takes " + joined(row.choices));
  }
  try {
    row.read(text);
  } catch (const UsageError& error) {
    const std::string_view what = error.what();
    throw UsageError(what.starts_with("--") ? std::string(what) : "--" + row.name + ": " + std::string(what));
  }
}

// Factors that are each fine and mean nothing together.
void check_together(const Options& options, const Architecture& architecture) {
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
  if (options.admission == Admission::refuse && !architecture.can_refuse) refuse(nobody_can_refuse);
  if (!is_supported(options.residency)) {
    refuse("--residency=cachestat needs Linux 6.5 or later, and a sandbox that allows it; use --residency=nowait");
  }
  if (architecture.connections_are_workers && options.connections != 0 && options.connections > options.workers) {
    refuse("--connections=" + std::to_string(options.connections) + " is more than " + std::string(architecture.name) +
           " holds with --workers=" + std::to_string(options.workers) +
           ": each worker serves one connection at a time; give as many workers");
  }
  if (architecture.check != nullptr) architecture.check(options);
}

// Descriptors that are neither connections nor cached files: standard streams, listening socket, pollers, pipes.
int reserved_descriptors(const Options& options, const Architecture& architecture) {
  const bool pollers_in_one_table =
      architecture.waiting == Waiting::by_readiness && !architecture.descriptors_are_per_worker;
  return 64 + (pollers_in_one_table ? options.workers : 0) + architecture.own_descriptors_per_worker * options.workers +
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

std::vector<AcceptPriority> all_accept_priorities() {
  return {AcceptPriority::arrival, AcceptPriority::ready, AcceptPriority::accepting};
}

std::optional<Options> parse_options(int argc, const char* const* argv, const Architecture& architecture) {
  BAKEOFF_CHECK(architecture.pollers.empty() == (architecture.waiting != Waiting::by_readiness));
  if (answered_version(argc, argv, std::string(architecture.name))) return std::nullopt;
  Options options;
  options.workers = architecture.workers_default;
  if (!architecture.pollers.empty()) options.poller = architecture.pollers.front();
  options.body = architecture.bodies.front();
  options.send = architecture.sends.front();
  options.residency = architecture.residencies.front();
  if (!architecture.accept_priorities.empty()) options.accept_priority = architecture.accept_priorities.front();

  Flexible flexible;
  const std::vector<OptionRow> rows = table(options, flexible, architecture);
  // Help shows what means something here; the rest is read all the same, to be refused with its reason.
  po::options_description shown(std::string(architecture.name) + " (" + std::string(architecture.paper) +
                                "); the first of several values is the default");
  po::options_description described;
  for (const OptionRow& row : rows) {
    po::options_description& where = row.applies ? shown : described;
    where.add_options()(row.name.c_str(), po::value<std::string>()->value_name(row.value), help_of(row).c_str());
  }
  shown.add_options()("describe", "judge the other options, print what this server accepts as JSON, and end")(
      "help", "print this")("version", "print version, revision and build type, alone on the command line");
  described.add(shown);

  reject_renamed(argc, argv);
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
    std::ostringstream text;
    text << shown;
    write_to_standard_output(text.str());
    return std::nullopt;
  }
  const bool only_describe = given.count("describe") != 0;
  for (const OptionRow& row : rows) {
    if (given.count(row.name) != 0) read(row, given[row.name].as<std::string>(), architecture);
  }

  if (given.count("residency") == 0) {
    // The default check is the one that fits what is sent.
    if (options.residency == Residency::cachestat || options.residency == Residency::nowait ||
        options.residency == Residency::mincore) {
      options.residency = options.body == BodyKind::mmap       ? Residency::mincore
                          : is_supported(Residency::cachestat) ? Residency::cachestat
                                                               : Residency::nowait;
    }
  }
  if (options.dynamic) options.deadline_grain_ms = 1;  // time-outs of seconds need no such grain, waits do
  if (only_describe && options.root.empty()) options.root = "/";
  check_together(options, architecture);
  fit_descriptors(options, architecture, given.count("cache-entries") != 0, flexible);
  if (!only_describe) return options;
  nlohmann::ordered_json description = describe(architecture);
  description["connections"] = options.connections;
  write_to_standard_output(description.dump() + "\n");
  return std::nullopt;
}

nlohmann::ordered_json to_json(const Options& options, const Architecture& architecture) {
  nlohmann::ordered_json json;
  Options shown = options;
  Flexible ignored;
  for (const OptionRow& row : table(shown, ignored, architecture)) {
    if (row.applies && row.write) row.write(json);
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
  json["waiting"] = name_of(architecture.waiting);
  json["connections_are_workers"] = architecture.connections_are_workers;
  json["connections_are_threads"] = architecture.connections_are_threads;
  json["options"] = nlohmann::ordered_json::object();
  Options defaults;
  Flexible ignored;
  for (const OptionRow& row : table(defaults, ignored, architecture)) {
    if (!row.applies) {
      json["options"][row.name] = nlohmann::ordered_json::array();
    } else if (row.choices.empty()) {
      json["options"][row.name] = row.value;
    } else {
      json["options"][row.name] = row.choices;
    }
  }
  return json;
}

}  // namespace bakeoff
