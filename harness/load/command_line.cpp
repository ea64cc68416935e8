#include "harness/load/command_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/program_options.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/signals.h"
#include "core/base/standard_output.h"
#include "core/base/untrusted.h"
#include "core/base/version.h"
#include "harness/load/duration.h"
#include "harness/load/load.h"
#include "harness/load/output_file.h"
#include "harness/load/ranks.h"
#include "harness/load/report.h"
#include "harness/load/session_log.h"
#include "results/hdr_encoding.h"

namespace bakeoff {

namespace {

namespace po = boost::program_options;

std::atomic<bool> stop_requested{false};
std::atomic<bool> release_requested{false};
SharedWord turns_begun{0};

struct CommandLine {
  LoadSpec spec;
  std::string json_file;
  std::string hgrm_file;
  std::string histogram_log;
  std::string write_log;  // instead of a run
  bool check = false;     // instead of a run
  bool strict = false;
  bool announce = false;
  bool httperf_summary = false;
};

// N,X,FILE as httperf takes it: sessions, default think time in seconds, log. Returns the file.
std::string read_wsesslog(const std::string& option, const std::string& text, LoadSpec& spec) {
  const std::size_t first = text.find(','), second = text.find(',', first == std::string::npos ? first : first + 1);
  if (second == std::string::npos)
    throw UsageError(option + " " + text + ": expected N,X,FILE: sessions, seconds to think, log");
  spec.model = LoadModel::log;
  spec.log_sessions = static_cast<std::uint64_t>(parse_count(option, text.substr(0, first)));
  spec.log_think_s = static_cast<double>(parse_duration_ns(option, text.substr(first + 1, second - first - 1))) * 1e-9;
  return text.substr(second + 1);
}

// "3s" or a distribution's name with its parameters.
Distribution read_distribution(const std::string& option, const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t colon = std::min(text.find(':', at), text.size());
    words.push_back(text.substr(at, colon - at));
    at = colon + 1;
  }
  const auto seconds = [&](std::size_t i) { return static_cast<double>(parse_duration_ns(option, words[i])) * 1e-9; };
  const auto number = [&](std::size_t i) {
    const double value = seconds(i);
    if (value <= 0) throw UsageError(option + " " + text + ": a shape must be more than 0");
    return value;
  };
  if (words.size() == 1) return Distribution::constant(seconds(0));
  if (words[0] == "exponential" && words.size() == 2) return Distribution::exponential(number(1));
  if (words[0] == "uniform" && words.size() == 3) return Distribution::uniform(seconds(1), seconds(2));
  if (words[0] == "pareto" && words.size() == 3) return Distribution::pareto(number(1), number(2));
  if (words[0] == "weibull" && words.size() == 3) return Distribution::weibull(number(1), number(2));
  throw UsageError(option + " " + text +
                   ": expected 3s, exponential:MEAN, uniform:LEAST:MOST, pareto:LEAST:SHAPE or weibull:SCALE:SHAPE");
}

void tell(LoadSpec& spec, bool leads, const std::string& note) {
  if (leads) std::cerr << "bakeoff-load: " << visible(note) << "\n";
  spec.notes.push_back(note);
}

// A log that is replayed at its own times: the run lasts as long, or says what it leaves out and which speed would fit.
void fit_to_log(LoadSpec& spec, bool leads, bool lasts_as_long) {
  const LogSummary& log = *spec.workload->log;
  const std::vector<double>& times_s = *spec.times_s;
  const double log_s = (log.length_s + 1) / log.speed;  // what was logged in its last second is spread over it
  const auto speed_for = [&](double seconds) {
    return "speed = " + std::to_string(static_cast<std::int64_t>(std::ceil((log.length_s + 1) / seconds)));
  };
  const auto whole = [](double seconds) {
    return seconds < 10 ? fmt::format("{:.2g} s", seconds) : fmt::format("{:.0f} s", std::ceil(seconds));
  };
  constexpr double most_s = 864'000, patience_s = 600;
  if (lasts_as_long) {
    if (log_s > most_s)
      throw UsageError(log.file + " lasts " + whole(log_s) + ", more than ten days; with " + speed_for(60) +
                       " it is over within a minute, and --duration replays a part of it");
    spec.duration_ns = std::max<std::int64_t>(1, static_cast<std::int64_t>(log_s * 1e9) - spec.warmup_ns);
    if (log_s > patience_s)
      tell(spec, leads,
           log.file + " lasts " + whole(log_s) + "; with " + speed_for(60) + " it is over within a minute");
    return;
  }
  const double run_s = static_cast<double>(spec.warmup_ns + spec.duration_ns) * 1e-9;
  const auto left_out = times_s.end() - std::lower_bound(times_s.begin(), times_s.end(), run_s);
  if (left_out != 0)
    tell(spec, leads,
         log.file + " lasts " + whole(log_s) + " and the run " + whole(run_s) + ": " + std::to_string(left_out) +
             " of its " + std::to_string(times_s.size()) + " requests are not asked for; with " + speed_for(run_s) +
             " all of it fits");
}

// leads: this process prints what there is to print. Returns false when only the help was wanted.
bool read_command_line(int argc, char** argv, CommandLine& line, bool leads) {
  LoadSpec& spec = line.spec;
  std::string duration = "10s", warmup = "1s", timeout = "15s", connect_timeout, timeout_rule = "request", workload,
              length = "first";
  std::string hold, think, arrivals = "poisson", wsesslog, read_rate, receive_buffer;
  std::vector<std::string> overrides;
  po::options_description what("What to ask for"), when("When to ask"), how("How"), out("What to report");
  what.add_options()("url", po::value(&spec.url_text), "http://HOST[:PORT][/PATH], or as the first argument")  //
      ("workload,w", po::value(&workload), "requests drawn from a workload: its name or TOML file")            //
      ("set", po::value(&overrides), "key=value, for the workload; may be repeated")                           //
      ("header", po::value(&spec.headers),
       "Name: value, sent with every request, a Host of one's own too; may be repeated")  //
      ("seed", po::value(&spec.seed)->default_value(spec.seed), "of everything random")   //
      ("length", po::value(&length)->default_value(length),
       "of each reply's body: 1024, 64KB; first: as the first one's; any")  //
      ("verify-every", po::value(&spec.verify_every)->default_value(spec.verify_every),
       "check the bytes of each k-th reply of a workload; 1: of all, 0: of none");
  when.add_options()("duration,d", po::value(&duration)->default_value(duration), "measured time")                  //
      ("warmup", po::value(&warmup)->default_value(warmup), "before it, not counted")                               //
      ("connections,c", po::value(&spec.connections), "clients, each with at most one connection (64)")             //
      ("think", po::value(&think), "closed loop: pause after each reply: 3s, exponential:1s, pareto:1s:1.5 ...")    //
      ("pipeline", po::value(&spec.pipeline)->default_value(spec.pipeline), "closed loop: requests sent together")  //
      ("requests-per-connection", po::value(&spec.requests_per_connection),
       "then it is closed; 1: no keep-alive; 0: no limit")  //
      ("rate,r", po::value(&spec.rate_text),
       "open loop: requests (or sessions) per second: 5000, steps 1000,2000, ramp 1000..8000")                  //
      ("arrivals", po::value(&arrivals)->default_value(arrivals), "of the open loop: poisson, fixed, uniform")  //
      ("sessions", "users as the workload describes them: bursts of requests and pauses")                       //
      ("wsesslog", po::value(&wsesslog), "N,X,FILE: replay N sessions of httperf's log, X seconds to think")    //
      ("write-wsesslog", po::value(&line.write_log),
       "N,X,FILE: draw N sessions from the workload, write that log, and end");
  how.add_options()("threads,t", po::value(&spec.threads)->default_value(spec.threads),
                    "of execution; more are used where descriptors do not reach")  //
      ("ranks",
       "one of several processes that make one load together, on one host or many: mpirun -n 4 bakeoff-load --ranks "
       "URL; --threads is of each")                                                                       //
      ("timeout", po::value(&timeout)->default_value(timeout), "of a request, to its reply's last byte")  //
      ("connect-timeout", po::value(&connect_timeout), "of opening a connection (as --timeout)")          //
      ("timeout-rule", po::value(&timeout_rule)->default_value(timeout_rule),
       "request: from the beginning, connecting included; phases: httperf's, connecting and replying apart")  //
      ("discard", po::bool_switch(&spec.discard), "drop bodies in the kernel instead of copying them")        //
      ("read-rate", po::value(&read_rate), "most bytes per second that each connection reads: 28KB")          //
      ("receive-buffer", po::value(&receive_buffer), "SO_RCVBUF of each connection: 8KiB")                    //
      ("source-addresses", po::value(&spec.source_addresses), "use 127.0.0.2 and on, that many (0: as it takes)");
  out.add_options()("json,j", po::value(&line.json_file), "write the result there; - for standard output")  //
      ("hgrm", po::value(&line.hgrm_file), "write the percentiles of latency there, as HdrHistogram does")  //
      ("hlog", po::value(&line.histogram_log), "write the histogram of latency there, as a log of HdrHistogram's")(
          "httperf-summary", po::bool_switch(&line.httperf_summary),
          "the summary in httperf's lines, on standard output")                                    //
      ("strict", po::bool_switch(&line.strict), "exit status 1 when the verdict is not valid")     //
      ("check", po::bool_switch(&line.check), "judge the command line, ask for nothing, and end")  //
      ("hold", po::value(&hold),
       "keep the connections open after the measured time, at most so long, until SIGUSR1 comes: 2s")  //
      ("turns", po::value(&spec.turns)->default_value(spec.turns),
       "take the warm-up, then so many parts of the measured time, in turns with other programs: each SIGUSR2 begins "
       "one; between them no request is under way, and the run's clock stands still; 0: at one go")  //
      ("announce", po::bool_switch(&line.announce),
       "print a line of JSON on standard output when the connections are open: when the measured time begins and ends, "
       "in ns of CLOCK_MONOTONIC; with --turns also after each of them")  //
      ("trace-events", po::value(&spec.trace_events)->default_value(spec.trace_events),
       "record what each client asks and gets, for bakeoff trace: so many events, the newest; 0: nothing")  //
      ("help,h", "this text");
  po::options_description options("bakeoff-load URL [options]");
  options.add(what).add(when).add(how).add(out);
  po::positional_options_description positional;
  positional.add("url", 1);
  po::variables_map given;
  po::store(po::command_line_parser(argc, argv).options(options).positional(positional).run(), given);
  po::notify(given);
  if (given.count("help") != 0) {
    std::ostringstream text;
    text << options;
    if (leads) write_to_standard_output(text.str());
    return false;
  }
  if (!workload.empty()) {
    spec.workload = load_workload(workload, overrides);
    for (const std::string& note : spec.workload->notes) tell(spec, leads, note);
    const ClientModel& clients = spec.workload->clients;
    if (given.count("requests-per-connection") == 0)
      spec.requests_per_connection = clients.requests_per_connection.value_or(0);
    spec.reader_bytes_per_s = clients.reader_bytes_per_s.value_or(0);
    spec.receive_buffer_bytes = clients.receive_buffer_bytes.value_or(0);
  } else if (!overrides.empty()) {
    throw UsageError("--set needs a --workload to set something in");
  }
  if (!line.write_log.empty()) return true;
  if (!read_rate.empty())
    spec.reader_bytes_per_s = static_cast<std::uint64_t>(parse_size("--read-rate", read_rate, std::int64_t{1} << 40));
  if (!receive_buffer.empty())
    spec.receive_buffer_bytes = static_cast<std::uint32_t>(parse_size("--receive-buffer", receive_buffer, 1 << 30));
  if (spec.url_text.empty()) throw UsageError("the URL is missing; say bakeoff-load http://HOST:PORT/PATH");
  spec.url = parse_url(spec.url_text);
  if (spec.trace_events < 0 || spec.trace_events > TraceRegion::most_events)
    throw UsageError("--trace-events must be from 0 to " + std::to_string(TraceRegion::most_events));

  if (given.count("sessions") != 0) spec.model = LoadModel::sessions;
  if (!wsesslog.empty()) {
    const std::string file = read_wsesslog("--wsesslog", wsesslog, spec);
    spec.log = std::make_shared<RereadableLog>(file, spec.log_think_s, spec.log_sessions);
  }
  const bool is_log = spec.model == LoadModel::log;
  // A trace's own times are kept unless other times were asked for; they begin at once and last as long as the log.
  const bool is_timed =
      spec.model == LoadModel::closed && spec.rate_text.empty() && spec.workload && spec.workload->arrivals_s;
  spec.duration_ns = is_log && given["duration"].defaulted() ? 0 : parse_duration_ns("--duration", duration);
  spec.warmup_ns = (is_log || is_timed) && given["warmup"].defaulted() ? 0 : parse_duration_ns("--warmup", warmup);
  if (is_timed) {
    spec.model = LoadModel::open;
    spec.times_s = spec.workload->arrivals_s;
    fit_to_log(spec, leads, given["duration"].defaulted());
  }
  if (!hold.empty()) {
    spec.hold_ns = parse_duration_ns("--hold", hold);
    spec.released = &release_requested;
    std::signal(SIGUSR1, [](int) { release_requested = true; });
  }
  if (spec.turns != 0) {
    if (spec.turns > 1'000'000) throw UsageError("--turns must be from 0 to 1000000");
    spec.turns_begun = &turns_begun;
    std::signal(SIGUSR2, [](int) { ++turns_begun; });
  }
  spec.timeout_ns = parse_duration_ns("--timeout", timeout);
  spec.connect_timeout_ns =
      connect_timeout.empty() ? spec.timeout_ns : parse_duration_ns("--connect-timeout", connect_timeout);
  if (timeout_rule != "request" && timeout_rule != "phases")
    throw UsageError("--timeout-rule " + timeout_rule + ": expected request or phases");
  spec.timeout_by_phase = timeout_rule == "phases";
  if (!think.empty()) {
    if (spec.model != LoadModel::closed || !spec.rate_text.empty())
      throw UsageError("--think is for the closed loop alone");
    spec.think_s = read_distribution("--think", think);
  }
  if (!spec.rate_text.empty()) {
    if (spec.model == LoadModel::closed) spec.model = LoadModel::open;
    spec.rate = RateProfile::parse("--rate", spec.rate_text, static_cast<double>(spec.warmup_ns) * 1e-9,
                                   static_cast<double>(spec.duration_ns) * 1e-9);
  }
  spec.arrivals = parse_arrivals(arrivals);
  // A log at a rate opens as many connections as it comes to, one by one without a rate: httperf's ways.
  if (is_log && given.count("connections") == 0)
    spec.connections =
        spec.rate ? static_cast<std::uint32_t>(std::clamp<std::uint64_t>(spec.log_sessions, 1, 10'000)) : 1;
  if (length == "any") {
    spec.expected_bytes = ClientRequest::any_length;
  } else if (length != "first") {
    spec.expected_bytes = parse_size("--length", length, std::int64_t{1} << 60);
  }
  return true;
}

void write_log(const CommandLine& line) {
  if (!line.spec.workload) throw UsageError("--write-wsesslog needs a --workload to draw from");
  LoadSpec log;
  const std::string file = read_wsesslog("--write-wsesslog", line.write_log, log);
  OutputFile(file).write([&](std::ostream& out) {
    out << "# " << log.log_sessions << " sessions of workload " << line.spec.workload->name << ", seed "
        << line.spec.seed << "\n";
    RequestSource source = line.spec.workload->source(line.spec.seed, 0);
    for (std::uint64_t i = 0; i < log.log_sessions; ++i)
      write_session(out, draw_session(*line.spec.workload, source), log.log_think_s);
  });
}

// One line a second on a terminal, over the last one.
void show_progress(const LoadProgress& progress) {
  static LoadProgress last{};
  const double elapsed_s = progress.elapsed_s - last.elapsed_s;
  std::fprintf(stderr, "\r%6.0f s  %9.0f replies/s  %9.1f Mbit/s  %llu errors \033[K", progress.elapsed_s,
               static_cast<double>(progress.replies - last.replies) / elapsed_s,
               static_cast<double>(progress.received_bytes - last.received_bytes) * 8e-6 / elapsed_s,
               static_cast<unsigned long long>(progress.errors));
  last = progress;
}

bool is_live_terminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && *terminal != '\0' && terminal != std::string_view("dumb");
}

// What ends a run early, for as long as this object lives: what was measured until then is reported. A second time the
// signal does what it does to any program. What is ignored from the start, as under nohup, stays ignored.
class StopSignals {
 public:
  explicit StopSignals(const Ranks* ranks) {
    // mpirun ends its ranks on a signal that ends itself, and passes SIGUSR2 on.
    if (ranks != nullptr) std::signal(SIGUSR2, [](int) { stop_requested = true; });
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      sigaction(numbers[i], nullptr, &before_[i]);
      if (is_ignored(numbers[i])) continue;
      struct sigaction action {};
      action.sa_handler = [](int) { stop_requested = true; };
      action.sa_flags = static_cast<int>(SA_RESETHAND);
      sigaction(numbers[i], &action, nullptr);
    }
  }
  ~StopSignals() {
    for (std::size_t i = 0; i < numbers.size(); ++i) sigaction(numbers[i], &before_[i], nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  static constexpr std::array<int, 3> numbers = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, 3> before_{};
};

struct Output {
  OutputFile file;
  std::function<void(std::ostream&, const LoadResult&)> put;
};

// Looked at before the run: when it is over it is too late to learn that there is no place for its figures.
std::vector<Output> open_outputs(const CommandLine& line) {
  std::vector<Output> outputs;
  if (line.httperf_summary)
    outputs.push_back({OutputFile("-"), [&](std::ostream& out, const LoadResult& result) {
                         out << to_httperf_text(line.spec, result);
                       }});
  if (!line.hgrm_file.empty())
    outputs.push_back({OutputFile(line.hgrm_file), [](std::ostream& out, const LoadResult& result) {
                         write_hgrm(out, result.recorder.from_schedule());
                       }});
  if (!line.histogram_log.empty())
    outputs.push_back({OutputFile(line.histogram_log), [](std::ostream& out, const LoadResult& result) {
                         const double now_s =
                             std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
                         out << to_hdr_log(result.recorder.from_schedule(), now_s - result.duration_s,
                                           result.duration_s);
                       }});
  if (!line.json_file.empty()) {
    const OutputFile file(line.json_file);
    if (file.is_standard_output() && line.httperf_summary)
      throw UsageError("--httperf-summary goes to standard output; give --json a file");
    // For people in a file, on one line for programs. Names may hold any bytes, JSON is UTF-8.
    const int indent = file.is_standard_output() ? -1 : 1;
    outputs.push_back({file, [&, indent](std::ostream& out, const LoadResult& result) {
                         using Json = nlohmann::ordered_json;
                         out << to_json(line.spec, result).dump(indent, ' ', false, Json::error_handler_t::replace)
                             << '\n';
                       }});
  }
  return outputs;
}

// Whatever becomes of its launcher and of the network, a rank ends. Only a log has no length that is known before.
void bound_life(const LoadSpec& spec) {
  constexpr std::int64_t opening_and_meetings_s = 600;
  if (spec.model == LoadModel::log && spec.duration_ns == 0) return;
  const std::int64_t ns = spec.warmup_ns + spec.duration_ns + spec.hold_ns + 2 * spec.timeout_ns;
  alarm(static_cast<unsigned>(std::min<std::int64_t>(ns / 1'000'000'000 + opening_and_meetings_s, 2'000'000'000)));
}

int run(const CommandLine& line, Ranks* ranks) {
  const bool leads = is_leader(ranks);
  if (ranks != nullptr) bound_life(line.spec);
  if (!line.write_log.empty()) {
    together(ranks, [&] {
      if (leads) write_log(line);
    });
    return 0;
  }
  if (line.check) {
    together(ranks, [&] { check_load(line.spec, ranks == nullptr ? 1 : ranks->count()); });
    return 0;
  }
  std::vector<Output> outputs;
  together(ranks, [&] {
    if (leads) outputs = open_outputs(line);
  });

  const bool live = leads && is_live_terminal();
  const auto announce = [](const MeasuredTime& time) {
    std::printf("{\"event\":\"measured_time\",\"from_ns\":%lld,\"to_ns\":%lld,\"now_ns\":%lld}\n",
                static_cast<long long>(time.from_ns), static_cast<long long>(time.to_ns),
                static_cast<long long>(monotonic_ns()));
    std::fflush(stdout);
  };
  const auto rests = [](std::uint32_t turns) {
    std::printf("{\"event\":\"rests\",\"turns\":%u}\n", turns);
    std::fflush(stdout);
  };
  LoadWatcher watcher;
  if (live) watcher.progress = show_progress;
  if (line.announce && leads) {
    watcher.announce = announce;
    watcher.rests = rests;
  }
  const LoadResult result = [&] {
    const StopSignals signals(ranks);
    return run_load(line.spec, stop_requested, watcher, ranks);
  }();
  if (!leads) return 0;  // rank 0 has the results of all
  if (live) std::cerr << "\r\033[K";
  if (!line.httperf_summary) std::cerr << to_text(line.spec, result);
  bool all_written = true;
  for (const Output& output : outputs) {
    try {
      output.file.write([&](std::ostream& out) { output.put(out, result); });
    } catch (const StartError& error) {
      std::cerr << "bakeoff-load: " << visible(error.what(), "\n\t") << "\n";
      all_written = false;
    }
  }
  if (!all_written) return 4;
  if (result.interrupted) return 130;
  return line.strict && !judge(line.spec, result).valid() ? 1 : 0;
}

}  // namespace

int load_main(int argc, char** argv, Ranks* ranks) {
  const bool leads = is_leader(ranks);
  make_new_throw_out_of_memory();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone is an output that cannot be written, and the others can
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow any more
  const auto failed = [&](const std::exception& error, int status) {
    if (leads) std::cerr << "bakeoff-load: " << visible(error.what(), "\n\t") << "\n";
    return status;
  };
  try {
    if (leads && answered_version(argc, argv, "bakeoff-load")) return 0;
    CommandLine line;
    bool wanted = false;
    together(ranks, [&] {
      try {
        wanted = read_command_line(argc, argv, line, leads);
      } catch (const po::error& error) {
        throw UsageError(error.what() + std::string("; see --help"));
      }
    });
    return wanted ? run(line, ranks) : 0;
  } catch (const RankLost&) {
    throw;
  } catch (const UsageError& error) {
    return failed(error, 2);
  } catch (const std::exception& error) {
    return failed(error, 4);
  }
}

}  // namespace bakeoff
