// bakeoff-load: drives any HTTP/1.1 server and tells what came of it, in JSON and in a few lines.
#include <boost/program_options.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "core/errors.h"
#include "harness/load/duration.h"
#include "harness/load/load.h"
#include "harness/load/report.h"

namespace {

namespace po = boost::program_options;
using namespace bakeoff;

std::atomic<bool> stop_requested{false};

struct CommandLine {
  LoadSpec spec;
  std::string json_file;
  bool strict = false;
};

// Returns false when only the help was wanted.
bool read_command_line(int argc, char** argv, CommandLine& line) {
  LoadSpec& spec = line.spec;
  std::string duration = "10s", warmup = "1s", timeout = "15s", connect_timeout, workload, length = "first";
  std::vector<std::string> overrides;
  po::options_description options("bakeoff-load URL [options]");
  options.add_options()("help,h", "this text")                                                                           //
      ("url", po::value(&spec.url_text), "http://HOST[:PORT][/PATH], or as the first argument")                            //
      ("connections,c", po::value(&spec.connections)->default_value(spec.connections), "clients, each with a connection")  //
      ("duration,d", po::value(&duration)->default_value(duration), "measured time")                                       //
      ("warmup", po::value(&warmup)->default_value(warmup), "before it, not counted")                                      //
      ("workload,w", po::value(&workload), "requests drawn from a workload: its name or TOML file")                        //
      ("set", po::value(&overrides), "key=value, for the workload; may be repeated")                                       //
      ("seed", po::value(&spec.seed)->default_value(spec.seed), "of everything random")                                    //
      ("threads,t", po::value(&spec.threads)->default_value(spec.threads), "of this client")                               //
      ("requests-per-connection", po::value(&spec.requests_per_connection), "then it is closed; 1: no keep-alive; 0: no limit")  //
      ("timeout", po::value(&timeout)->default_value(timeout), "of a request, to its reply's last byte")                   //
      ("connect-timeout", po::value(&connect_timeout), "of opening a connection (as --timeout)")                           //
      ("length", po::value(&length)->default_value(length), "of each reply's body in bytes; first: as the first one's; any")  //
      ("verify-every", po::value(&spec.verify_every)->default_value(spec.verify_every),
       "check the bytes of each k-th reply of a workload; 1: of all, 0: of none")                                          //
      ("discard", po::bool_switch(&spec.discard), "drop bodies in the kernel instead of copying them")                     //
      ("source-addresses", po::value(&spec.source_addresses), "use 127.0.0.2 and on, that many (0: as it takes)")          //
      ("json,j", po::value(&line.json_file), "write the result there; - for standard output")                              //
      ("strict", po::bool_switch(&line.strict), "exit status 1 when the verdict is not valid");
  po::positional_options_description positional;
  positional.add("url", 1);
  po::variables_map given;
  po::store(po::command_line_parser(argc, argv).options(options).positional(positional).run(), given);
  po::notify(given);
  if (given.count("help") != 0) {
    std::cout << options;
    return false;
  }
  if (spec.url_text.empty()) throw UsageError("the URL is missing; say bakeoff-load http://HOST:PORT/PATH");
  spec.url = parse_url(spec.url_text);
  spec.duration_ns = parse_duration_ns("--duration", duration);
  spec.warmup_ns = parse_duration_ns("--warmup", warmup);
  spec.timeout_ns = parse_duration_ns("--timeout", timeout);
  spec.connect_timeout_ns = connect_timeout.empty() ? spec.timeout_ns : parse_duration_ns("--connect-timeout", connect_timeout);
  if (!workload.empty()) {
    spec.workload = load_workload(workload, overrides);
    if (given.count("requests-per-connection") == 0) spec.requests_per_connection = spec.workload->clients.requests_per_connection.value_or(0);
  } else if (!overrides.empty()) {
    throw UsageError("--set needs a --workload to set something in");
  }
  if (length == "any") {
    spec.same_length = false;
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

int run(const CommandLine& line) {
  const LoadResult result = run_load(line.spec, stop_requested);
  std::cerr << to_text(line.spec, result);
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
