// bakeoff-load: drives any HTTP/1.1 server and tells what came of it, in JSON and in a few lines.
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "core/base/errors.h"
#include "harness/load/duration.h"
#include "harness/load/load.h"
#include "harness/load/report.h"
#include "harness/load/session_log.h"

namespace {

namespace po = boost::program_options;
using namespace bakeoff;

std::atomic<bool> stop_requested{false};

struct CommandLine {
  LoadSpec spec;
  std::string json_file;
  std::string hgrm_file;
  std::string write_log;  // instead of a run
  bool strict = false;
  bool httperf_summary = false;
};

// N,X,FILE as httperf takes it: sessions, default think time in seconds, log.
void read_wsesslog(const std::string& text, LoadSpec& spec) {
  const std::size_t first = text.find(','), second = text.find(',', first == std::string::npos ? first : first + 1);
  if (second == std::string::npos) throw UsageError("--wsesslog " + text + ": expected N,X,FILE: sessions, seconds to think, log");
  spec.model = LoadModel::log;
  spec.log_sessions = static_cast<std::uint64_t>(parse_count("--wsesslog", text.substr(0, first)));
  spec.log_think_s = static_cast<double>(parse_duration_ns("--wsesslog", text.substr(first + 1, second - first - 1))) * 1e-9;
  spec.log_file = text.substr(second + 1);
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
  throw UsageError(option + " " + text + ": expected 3s, exponential:MEAN, uniform:LEAST:MOST, pareto:LEAST:SHAPE or weibull:SCALE:SHAPE");
}

// Returns false when only the help was wanted.
bool read_command_line(int argc, char** argv, CommandLine& line) {
  LoadSpec& spec = line.spec;
  std::string duration = "10s", warmup = "1s", timeout = "15s", connect_timeout, timeout_rule = "request", workload, length = "first";
  std::string think, arrivals = "poisson", wsesslog;
  std::vector<std::string> overrides;
  po::options_description what("What to ask for"), when("When to ask"), how("How"), out("What to tell");
  what.add_options()("url", po::value(&spec.url_text), "http://HOST[:PORT][/PATH], or as the first argument")                  //
      ("workload,w", po::value(&workload), "requests drawn from a workload: its name or TOML file")                            //
      ("set", po::value(&overrides), "key=value, for the workload; may be repeated")                                           //
      ("seed", po::value(&spec.seed)->default_value(spec.seed), "of everything random")                                        //
      ("length", po::value(&length)->default_value(length), "of each reply's body in bytes; first: as the first one's; any")   //
      ("verify-every", po::value(&spec.verify_every)->default_value(spec.verify_every),
       "check the bytes of each k-th reply of a workload; 1: of all, 0: of none");
  when.add_options()("duration,d", po::value(&duration)->default_value(duration), "measured time")                              //
      ("warmup", po::value(&warmup)->default_value(warmup), "before it, not counted")                                          //
      ("connections,c", po::value(&spec.connections), "clients, each with at most one connection (64)")                        //
      ("think", po::value(&think), "closed loop: pause after each reply: 3s, exponential:1s, pareto:1s:1.5 ...")                //
      ("pipeline", po::value(&spec.pipeline)->default_value(spec.pipeline), "closed loop: requests sent together")             //
      ("requests-per-connection", po::value(&spec.requests_per_connection), "then it is closed; 1: no keep-alive; 0: no limit")  //
      ("rate,r", po::value(&spec.rate_text), "open loop: requests (or sessions) a second: 5000, steps 1000,2000, ramp 1000..8000")  //
      ("arrivals", po::value(&arrivals)->default_value(arrivals), "of the open loop: poisson, fixed, uniform")                 //
      ("sessions", "users as the workload describes them: bursts of requests and pauses")                                      //
      ("wsesslog", po::value(&wsesslog), "N,X,FILE: replay N sessions of httperf's log, X seconds to think")                   //
      ("write-wsesslog", po::value(&line.write_log), "N,X,FILE: draw N sessions from the workload, write that log, and end");
  how.add_options()("threads,t", po::value(&spec.threads)->default_value(spec.threads), "of execution; more are used where descriptors do not reach")  //
      ("timeout", po::value(&timeout)->default_value(timeout), "of a request, to its reply's last byte")                       //
      ("connect-timeout", po::value(&connect_timeout), "of opening a connection (as --timeout)")                               //
      ("timeout-rule", po::value(&timeout_rule)->default_value(timeout_rule),
       "request: from the beginning, connecting included; phases: httperf's, connecting and replying apart")                   //
      ("discard", po::bool_switch(&spec.discard), "drop bodies in the kernel instead of copying them")                         //
      ("read-rate", po::value(&spec.reader_bytes_per_s), "bytes a second that each connection reads at most")                  //
      ("receive-buffer", po::value(&spec.receive_buffer_bytes), "SO_RCVBUF of each connection")                                //
      ("source-addresses", po::value(&spec.source_addresses), "use 127.0.0.2 and on, that many (0: as it takes)");
  out.add_options()("json,j", po::value(&line.json_file), "write the result there; - for standard output")                      //
      ("hgrm", po::value(&line.hgrm_file), "write the percentiles of latency there, as HdrHistogram does")                     //
      ("httperf-summary", po::bool_switch(&line.httperf_summary), "the summary in httperf's lines")                            //
      ("strict", po::bool_switch(&line.strict), "exit status 1 when the verdict is not valid")                                 //
      ("help,h", "this text");
  po::options_description options("bakeoff-load URL [options]");
  options.add(what).add(when).add(how).add(out);
  po::positional_options_description positional;
  positional.add("url", 1);
  po::variables_map given;
  po::store(po::command_line_parser(argc, argv).options(options).positional(positional).run(), given);
  po::notify(given);
  if (given.count("help") != 0) {
    std::cout << options;
    return false;
  }
  if (!workload.empty()) {
    spec.workload = load_workload(workload, overrides);
    for (const std::string& note : spec.workload->notes) std::cerr << "bakeoff-load: " << note << "\n";
    const ClientModel& clients = spec.workload->clients;
    if (given.count("requests-per-connection") == 0) spec.requests_per_connection = clients.requests_per_connection.value_or(0);
    if (given.count("read-rate") == 0) spec.reader_bytes_per_s = clients.reader_bytes_per_s.value_or(0);
    if (given.count("receive-buffer") == 0) spec.receive_buffer_bytes = clients.receive_buffer_bytes.value_or(0);
  } else if (!overrides.empty()) {
    throw UsageError("--set needs a --workload to set something in");
  }
  if (!line.write_log.empty()) return true;
  if (spec.url_text.empty()) throw UsageError("the URL is missing; say bakeoff-load http://HOST:PORT/PATH");
  spec.url = parse_url(spec.url_text);

  if (given.count("sessions") != 0) spec.model = LoadModel::sessions;
  if (!wsesslog.empty()) read_wsesslog(wsesslog, spec);
  const bool is_log = spec.model == LoadModel::log;
  // A trace's own times are kept unless other times were asked for; they begin at once and last as long as the log.
  const bool is_timed = spec.model == LoadModel::closed && spec.rate_text.empty() && spec.workload && spec.workload->arrivals_s;
  spec.duration_ns = is_log && given["duration"].defaulted() ? 0 : parse_duration_ns("--duration", duration);
  spec.warmup_ns = (is_log || is_timed) && given["warmup"].defaulted() ? 0 : parse_duration_ns("--warmup", warmup);
  if (is_timed) {
    spec.model = LoadModel::open;
    spec.times_s = spec.workload->arrivals_s;
    if (given["duration"].defaulted()) spec.duration_ns = static_cast<std::int64_t>((spec.times_s->back() + 1) * 1e9) - spec.warmup_ns;
  }
  spec.timeout_ns = parse_duration_ns("--timeout", timeout);
  spec.connect_timeout_ns = connect_timeout.empty() ? spec.timeout_ns : parse_duration_ns("--connect-timeout", connect_timeout);
  if (timeout_rule != "request" && timeout_rule != "phases") throw UsageError("--timeout-rule " + timeout_rule + ": expected request or phases");
  spec.timeout_by_phase = timeout_rule == "phases";
  if (!think.empty()) {
    if (spec.model != LoadModel::closed || !spec.rate_text.empty()) throw UsageError("--think is for the closed loop alone");
    spec.think_s = read_distribution("--think", think);
  }
  if (!spec.rate_text.empty()) {
    if (spec.model == LoadModel::closed) spec.model = LoadModel::open;
    spec.rate = RateProfile::parse("--rate", spec.rate_text, static_cast<double>(spec.warmup_ns) * 1e-9, static_cast<double>(spec.duration_ns) * 1e-9);
  }
  spec.arrivals = parse_arrivals(arrivals);
  // A log at a rate opens as many connections as it comes to, one by one without a rate: httperf's ways.
  if (is_log && given.count("connections") == 0)
    spec.connections = spec.rate ? static_cast<std::uint32_t>(std::clamp<std::uint64_t>(spec.log_sessions, 1, 10'000)) : 1;
  if (length == "any") {
    spec.expected_bytes = Request::any_length;
  } else if (length != "first") {
    spec.expected_bytes = parse_count("--length", length);
  }
  return true;
}

void write_json(const std::string& file, const nlohmann::ordered_json& json) {
  if (file == "-") {
    std::cout << json.dump() << std::endl;
    return;
  }
  std::ofstream out(file);
  out << json.dump(1) << '\n';
  if (!out.flush()) throw StartError("cannot write " + file);
}

void write_log(const CommandLine& line) {
  if (!line.spec.workload) throw UsageError("--write-wsesslog needs a --workload to draw from");
  LoadSpec log;
  read_wsesslog(line.write_log, log);
  std::ofstream out(log.log_file);
  out << "# " << log.log_sessions << " sessions of workload " << line.spec.workload->name << ", seed " << line.spec.seed << "\n";
  RequestSource source = line.spec.workload->source(line.spec.seed, 0);
  for (std::uint64_t i = 0; i < log.log_sessions; ++i) write_session(out, draw_session(*line.spec.workload, source), log.log_think_s);
  if (!out.flush()) throw StartError("cannot write " + log.log_file);
}

// One line a second on a terminal, over the last one.
void show_progress(const LoadProgress& progress) {
  static LoadProgress last{};
  const double elapsed_s = progress.elapsed_s - last.elapsed_s;
  std::fprintf(stderr, "\r%6.0f s  %9.0f replies/s  %9.1f Mbit/s  %llu errors \033[K", progress.elapsed_s,
               static_cast<double>(progress.replies - last.replies) / elapsed_s,
               static_cast<double>(progress.received_bytes - last.received_bytes) * 8e-6 / elapsed_s, static_cast<unsigned long long>(progress.errors));
  last = progress;
}

int run(const CommandLine& line) {
  if (!line.write_log.empty()) {
    write_log(line);
    return 0;
  }
  const bool live = isatty(STDERR_FILENO) == 1;
  const LoadResult result = run_load(line.spec, stop_requested, live ? show_progress : std::function<void(const LoadProgress&)>{});
  if (live) std::cerr << "\r\033[K";
  std::cerr << (line.httperf_summary ? to_httperf_text(line.spec, result) : to_text(line.spec, result));
  if (!line.hgrm_file.empty()) {
    std::ofstream out(line.hgrm_file);
    write_hgrm(out, result.recorder.from_schedule());
    if (!out.flush()) throw StartError("cannot write " + line.hgrm_file);
  }
  if (!line.json_file.empty()) write_json(line.json_file, to_json(line.spec, result));
  if (result.interrupted) return 130;
  return line.strict && !judge(line.spec, result).valid ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = true; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  try {
    CommandLine line;
    if (!read_command_line(argc, argv, line)) return 0;
    return run(line);
  } catch (const po::error& error) {
    std::cerr << "bakeoff-load: " << error.what() << "; see --help\n";
    return 2;
  } catch (const bakeoff::UsageError& error) {
    std::cerr << "bakeoff-load: " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "bakeoff-load: " << error.what() << "\n";
    return 4;
  }
}
