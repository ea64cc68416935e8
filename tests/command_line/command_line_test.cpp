// The bakeoff command from outside, on a workload of one small file and servers that behave and misbehave.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "results/timeline/chrome_trace.h"
#include "tests/catch.h"
#include "tests/results/result_schema.h"
#include "tests/results/timeline/well_formed.h"
#include "tests/support/child.h"
#include "tests/support/clock.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using nlohmann::json;

namespace {

constexpr int long_ms = 120'000;  // for a whole run on a machine that is busy with twenty other things

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// A directory with the real programs, servers made of a few lines of shell, and everything a run makes.
class Bench {
 public:
  Bench() {
    const std::filesystem::path real = BAKEOFF_BIN_DIR;
    std::filesystem::create_directories(dir.path() / "bin");
    for (const char* name : {"sped", "bakeoff-load", "bakeoff-ceiling", "bakeoff-micro"})
      std::filesystem::create_symlink(real / name, dir.path() / "bin" / name);
  }

  void add_program(const std::string& name) const {
    std::filesystem::create_symlink(BAKEOFF_BIN_DIR "/" + name, dir.path() / "bin" / name);
  }

  // A server that is sped but for what `script` does first; $SPED is the real one, $DIR a directory of its own.
  void add_server(const std::string& name, const std::string& script) const {
    dir.write("bin/" + name, "#!/bin/sh\n[ \"$1\" = --describe ] && echo '{\"architecture\":\"" + name +
                                 "\",\"workers\":{\"min\":1,\"max\":64},\"options\":{}}' && exit 0\nDIR=" +
                                 dir.path().string() + "\nSPED=$DIR/bin/sped\n" + script + "\nexec $SPED \"$@\"\n");
    std::filesystem::permissions(dir.path() / "bin" / name, std::filesystem::perms::owner_all);
  }

  // Trials of 300 ms: shorter ones bring no reply on a machine with twenty others to serve; `servers` is TOML. What
  // others do to the machine voids nothing here.
  std::string spec(const std::string& servers, const std::string& trials = "sweep = 1\nfinal = 2\n",
                   const std::string& workload = "name = \"single-file\"") const {
    dir.write("exp.toml",
              "title = \"a test\"\n[workload]\n" + workload +
                  "\n[load]\nconnections = 4\nwarmup = 0\nduration = \"300ms\"\n[trials]\nceiling = \"50ms\"\n"
                  "ceiling_difference = 10\nothers = 1000\nrepeats = 0\n" +
                  trials + "[validity]\nclient_busy = 1\nlittle = 1\nstarved = 1\n" + servers);
    return (dir.path() / "exp.toml").string();
  }

  std::vector<std::string> command(const std::vector<std::string>& words) const {
    std::vector<std::string> all = {"/usr/bin/env",
                                    "-C",
                                    dir.path().string(),
                                    "BAKEOFF_BIN=" + (dir.path() / "bin").string(),
                                    "BAKEOFF_FILES=" + (dir.path() / "files").string(),
                                    "BAKEOFF_LOCKS=" + (dir.path() / "locks").string(),
                                    BAKEOFF_BIN_DIR "/bakeoff"};
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  test::Finished bakeoff(const std::vector<std::string>& words) const { return test::run(command(words), long_ms); }
  std::string out() const { return (dir.path() / "run").string(); }
  json result() const { return json::parse(read_file(dir.path() / "run/result.json")); }
  std::string trials() const { return read_file(dir.path() / "run/trials.jsonl"); }

  // Processes that have this directory in their command line.
  std::vector<std::string> left_running() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string pid = entry.path().filename().string();
      if (!std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
      std::string words = read_file(entry.path() / "cmdline");
      std::replace(words.begin(), words.end(), '\0', ' ');
      if (words.find(dir.path().string()) != std::string::npos) found.push_back(pid + " " + words);
    }
    return found;
  }
  bool nothing_left_running() const {
    const bool gone = test::eventually([&] { return left_running().empty(); });
    for (const std::string& process : left_running()) UNSCOPED_INFO(process);
    return gone;
  }

  test::TempDir dir;
};

const std::string sped = "[[server]]\narchitecture = \"sped\"\n";
std::string server(const std::string& name) { return "[[server]]\narchitecture = \"" + name + "\"\n"; }

// One line on standard error, and nothing else said.
bool one_line(const test::Finished& finished, int status, const std::string& part) {
  const bool fine = finished.status == status && lines_of(finished.errors) == 1 &&
                    finished.errors.find(part) != std::string::npos && finished.output.empty();
  if (!fine)
    UNSCOPED_INFO("status " << finished.status << "\n" << finished.output << finished.errors << "expected: " << part);
  return fine;
}

// The last line on standard error has that part.
bool ends_with_line(const test::Finished& finished, int status, const std::string& part) {
  const std::size_t last = finished.errors.rfind('\n', finished.errors.size() - 2);
  const bool fine = finished.status == status &&
                    finished.errors.substr(last == std::string::npos ? 0 : last + 1).find(part) != std::string::npos;
  if (!fine) UNSCOPED_INFO("status " << finished.status << "\n" << finished.errors << "expected: " << part);
  return fine;
}

}  // namespace

TEST_CASE("help is given, and what is not understood is refused") {
  const Bench bench;
  CHECK(bench.bakeoff({"--help"}).status == 0);
  for (const char* command : {"run", "tune", "plan", "check", "compare", "list", "micro", "serve", "verify", "report",
                              "bundle", "doctor", "completion", "man", "explain", "new"}) {
    const test::Finished help = bench.bakeoff({command, "--help"});
    CHECK(help.status == 0);
    CHECK(help.output.find(std::string("bakeoff ") + command) == 0);
  }
  CHECK(bench.bakeoff({}).status == 2);
  CHECK(one_line(bench.bakeoff({"rum", "quick"}), 2, "there is no command `rum`; did you mean `run`?"));
  CHECK(one_line(bench.bakeoff({"run"}), 2, "bakeoff run: expected an experiment's name or file"));
  CHECK(one_line(bench.bakeoff({"run", "quick", "--fast"}), 2, "unrecognised option '--fast'"));
  CHECK(one_line(bench.bakeoff({"run", "quick", "slow"}), 2, "too many words"));
  CHECK(one_line(bench.bakeoff({"run", "quik"}), 2, "did you mean `quick`?"));
  CHECK(one_line(bench.bakeoff({"run", "--resume"}), 2, "--out DIR"));
  CHECK(one_line(bench.bakeoff({"run", "--resume", "--out", "nowhere"}), 2, "nowhere holds no run"));
  CHECK(one_line(bench.bakeoff({"list", "colours"}), 2, "`colours` is none of"));
  CHECK(
      one_line(bench.bakeoff({"report", "nowhere"}), 2, "cannot read nowhere; name a run's folder or its result.json"));
  CHECK(one_line(bench.bakeoff({"serve", "spde", "--root", "."}), 2,
                 "there is no preset or architecture `spde`; did you mean `sped`?"));
}

TEST_CASE("a clock that jumps by days changes no figure") {
  const Bench bench;
  std::vector<std::string> command = bench.command({"run", bench.spec(sped), "--out", bench.out()});
  // A sanitizer's library wants to be the first that is loaded.
  command.insert(command.begin() + 3, {"LD_PRELOAD=" BAKEOFF_JUMPING_CLOCK, "ASAN_OPTIONS=verify_asan_link_order=0"});
  const test::Finished finished = test::run(command, long_ms);
  INFO(finished.errors);
  CHECK(finished.status == 0);
  std::istringstream lines(bench.trials());
  std::set<std::string> days;
  std::size_t trials = 0;
  for (std::string line; std::getline(lines, line); ++trials) {
    const json trial = json::parse(line);
    CHECK(trial.at("void_causes").empty());
    CHECK(trial.at("failures").empty());
    const json& load = trial.at("evidence").at("load");
    CHECK(load.at("duration_s") == Approx(0.3).epsilon(0.1));
    CHECK(load.at("replies_per_s").get<double>() ==
          Approx(load.at("replies").get<double>() / load.at("duration_s").get<double>()));
    days.insert(trial.at("started").get<std::string>().substr(0, 10));
  }
  CHECK(trials == 3);
  CHECK(days.size() >= 2);  // the clock did jump
}

TEST_CASE("a run on a slow disk says how often and how long it was waited for, and leaves no mount") {
  const Bench bench;
  const std::string spec = bench.spec(
      "[disk]\nmodel = \"constant\"\nset = { seek = \"5ms\" }\ncache = \"100KB\"\n[options]\nbody = \"sendfile\"\n" +
          sped,
      "sweep = 2\nfinal = 0\n",
      "name = \"data-set\"\nset = { total_bytes = \"1MB\", most_bytes = \"50KB\", mean_transfer_bytes = \"9KB\" }");
  if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::access(BAKEOFF_BIN_DIR "/bakeoff-slowdisk", X_OK) != 0) {
    const test::Finished without = bench.bakeoff({"run", spec, "--out", bench.out()});
    CHECK(without.status == 4);
    CHECK(ends_with_line(without, 4, "slow"));
    return;
  }
  std::filesystem::create_symlink(BAKEOFF_BIN_DIR "/bakeoff-slowdisk", bench.dir.path() / "bin/bakeoff-slowdisk");
  const test::Finished finished = bench.bakeoff({"run", spec, "--out", bench.out()});
  INFO(finished.errors);
  CHECK(finished.status == 0);
  CHECK(finished.output.find("Where the time went.") != std::string::npos);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  CHECK(result.at("environment").at("disk").at("kind") == "slowdisk");
  const json& summary = result.at("cells").at(0).at("summary");
  const double hits = summary.at("cache_hit_share").at("median").get<double>();
  CHECK(hits > 0);
  CHECK(hits < 1);
  if (::geteuid() == 0) CHECK(summary.at("disk_waiting_tasks").at("median").get<double>() > 0);
  CHECK(bench.nothing_left_running());
  CHECK(read_file("/proc/self/mountinfo").find(bench.dir.path().string()) == std::string::npos);
}

TEST_CASE("a trace is a page, pictures and traces, and tells how much its rings lost") {
  const Bench bench;
  bench.add_program("mt");
  const std::string spec = bench.spec(sped + server("mt") + "workers = [\"connections\"]\n");
  const test::Finished traced = bench.bakeoff({"trace", spec, "--requests", "200", "--out", bench.out()});
  INFO(traced.output << traced.errors);
  CHECK(traced.status == 0);
  CHECK(traced.output.find("Nobody waits for the disk") != std::string::npos);
  CHECK(traced.output.find("lost") == std::string::npos);
  for (const std::string name : {"sped", "mt"}) {
    CHECK(test::is_well_formed(read_file(bench.dir.path() / "run" / (name + ".svg"))));
    const json trace = json::parse(read_file(bench.dir.path() / "run" / (name + ".json")));
    CHECK(faults_of_chrome_trace(trace) == std::vector<std::string>{});
    CHECK(trace.at("traceEvents").size() > 1000);
  }
  CHECK(read_file(bench.dir.path() / "run/page.html").find("</html>") != std::string::npos);
  CHECK(bench.nothing_left_running());

  const test::Finished small =
      bench.bakeoff({"trace", spec, "--requests", "500", "--events", "64", "--out", bench.out()});
  INFO(small.output << small.errors);
  CHECK(small.status == 0);
  CHECK(small.output.find(" events are lost: a lane keeps its newest ones") != std::string::npos);
  const json trace = json::parse(read_file(bench.dir.path() / "run/sped.json"));
  CHECK(faults_of_chrome_trace(trace) == std::vector<std::string>{});
  CHECK(trace.at("otherData").at("events_lost").get<int>() > 100);
}

TEST_CASE("each kind of context has a lane of its own in a trace") {
  const Bench bench;
  bench.add_program("mt");
  bench.add_program("thread-per-connection");
  std::string servers;
  for (const char* name : {"sped", "thread-per-connection", "mt"})
    servers += server(name) + (std::string(name) == "mt" ? "workers = [\"connections\"]\n" : "");
  const test::Finished traced =
      bench.bakeoff({"trace", bench.spec(servers), "--requests", "50", "--duration", "5s", "--out", bench.out()});
  INFO(traced.errors);
  CHECK(traced.status == 0);
  const auto lanes = [&](const std::string& name) { return read_file(bench.dir.path() / "run" / (name + ".svg")); };
  CHECK(lanes("sped").find(">loop<") != std::string::npos);
  CHECK(lanes("mt").find(">thread 1<") != std::string::npos);
  CHECK(lanes("thread-per-connection").find(">scheduler<") != std::string::npos);
  CHECK(lanes("thread-per-connection").find(">thread 1, user-level<") != std::string::npos);
  CHECK(lanes("thread-per-connection").find(">kernel worker 1<") != std::string::npos);
}

TEST_CASE("what cannot be traced is refused in one line") {
  const Bench bench;
  const std::string spec = bench.spec(sped);
  CHECK(one_line(bench.bakeoff({"trace"}), 2, "expected a specification, or architectures"));
  CHECK(one_line(bench.bakeoff({"trace", "no-such"}), 2, "no-such"));
  CHECK(one_line(bench.bakeoff({"trace", "sped", "no-such"}), 2, "`no-such` is no architecture and no preset"));
  CHECK(one_line(bench.bakeoff({"trace", spec, "--requests", "0"}), 2, "must be more than 0"));
  CHECK(one_line(bench.bakeoff({"trace", spec, "--duration", "soon"}), 2, "soon"));
  CHECK(one_line(bench.bakeoff({"trace", spec, "--events", "0"}), 2, "expected 1 to 1000000, got 0"));
  CHECK(one_line(bench.bakeoff({"trace", spec, "--disk", "floppy"}), 2, "there is no disk `floppy`"));
  CHECK(one_line(bench.bakeoff({"trace", spec, "--out", "/dev/null/trace"}), 4, "cannot make /dev/null/trace"));
  // Root may write anywhere but where nobody can.
  CHECK(one_line(bench.bakeoff({"trace", spec, "--out", "/proc/self"}), 4, "cannot write /proc/self/page.html"));
  CHECK(one_line(bench.bakeoff({"trace", bench.spec("[trace]\nnot_in_memory = [1]\n" + sped)}), 2,
                 "not_in_memory: needs a [disk]"));
}

TEST_CASE("servers of others run on a slow disk beside ours, and their hits are counted in the same way") {
  const Bench bench;
  const std::filesystem::path shipped = BAKEOFF_SOURCE;
  for (const char* part : {"harness/slowdisk", "harness/profile", "workloads"}) {
    std::filesystem::create_directories((bench.dir.path() / "data" / part).parent_path());
    std::filesystem::create_directory_symlink(shipped / part, bench.dir.path() / "data" / part);
  }
  // Of others: it says nothing when it is ready and has no statistics when it ends.
  bench.dir.write(
      "data/harness/outside/silent.toml",
      "title = \"a server that keeps its counters to itself\"\nprogram = [\"/bin/sh\"]\npackage = \"dash\"\n"
      "arguments = [\"-c\", \"exec " BAKEOFF_BIN_DIR
      "/sped --address 127.0.0.1 --port @port@ --root @root@ --body sendfile > /dev/null\"]\n");
  std::string servers = sped + "options = { body = \"sendfile\" }\n[[server]]\noutside = \"silent\"\n";
  std::size_t count = 2;
  if (::access("/usr/sbin/nginx", X_OK) == 0) {
    std::filesystem::copy_file(shipped / "harness/outside/nginx.toml",
                               bench.dir.path() / "data/harness/outside/nginx.toml");
    servers += "[[server]]\noutside = \"nginx\"\n";
    ++count;
  }
  const std::string spec = bench.spec(
      "[disk]\nmodel = \"constant\"\nset = { seek = \"5ms\" }\ncache = \"100KB\"\n" + servers, "sweep = 1\nfinal = 0\n",
      "name = \"data-set\"\nset = { total_bytes = \"1MB\", most_bytes = \"50KB\", mean_transfer_bytes = \"9KB\" }");
  if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::access(BAKEOFF_BIN_DIR "/bakeoff-slowdisk", X_OK) != 0) return;
  std::filesystem::create_symlink(BAKEOFF_BIN_DIR "/bakeoff-slowdisk", bench.dir.path() / "bin/bakeoff-slowdisk");
  std::vector<std::string> command = bench.command({"run", spec, "--out", bench.out()});
  command.insert(command.begin() + 3, "BAKEOFF_DATA=" + (bench.dir.path() / "data").string());
  const test::Finished finished = test::run(command, long_ms);
  INFO(finished.errors);
  CHECK(finished.status == 0);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  REQUIRE(result.at("cells").size() == count);
  for (const json& cell : result.at("cells")) {
    CAPTURE(cell.at("id"));
    CHECK(cell.at("valid") == true);
    const json& hits = cell.at("summary").at("cache_hit_share").at("median");
    REQUIRE(hits.is_number());
    CHECK(hits > 0);
    CHECK(hits < 1);
  }
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a specification is refused with file, line and column before anything is made") {
  const Bench bench;
  const auto refused = [&](const std::string& servers, const std::string& part) {
    return one_line(bench.bakeoff({"run", bench.spec(servers), "--out", bench.out()}), 2, part);
  };
  CHECK(refused("[[server]\n", "exp.toml:19:"));
  CHECK(refused(sped + "workerz = 1\n", "exp.toml:21:1: unknown key `workerz`; did you mean `workers`?"));
  CHECK(refused(sped + "workers = 0\n", "exp.toml:21:11: workers: "));
  CHECK(refused(sped + "workers = 1000000\n", "exp.toml:21:11: workers: "));
  CHECK(refused(sped + "workers = 2\n", "exp.toml:19:1: server `sped`: workers: sped takes 1, got 2"));
  CHECK(refused(server("spde"), "there is no architecture `spde`; did you mean `sped`?"));
  CHECK(refused("[[server]]\npreset = \"no-such\"\n", "exp.toml:20:10: preset: there is no preset `no-such`"));
  CHECK(
      refused(sped + "options = { poller = \"kqueue\" }\n", "exp.toml:19:1: server `sped`: poller: expected epoll, "));
  CHECK(refused(sped + "connections = 50000000\n", "sped/connections=50000000/workers=1: a process may have "));
  CHECK(one_line(bench.bakeoff({"run", bench.spec(sped, "", "name = \"no-such\""), "--out", bench.out()}), 2,
                 "exp.toml: [workload]: there is no workload `no-such`"));
  CHECK_FALSE(std::filesystem::exists(bench.out()));
}

TEST_CASE("a run ends with tables on standard output and a result that the schema accepts") {
  const Bench bench;
  const test::Finished run =
      bench.bakeoff({"run",
                     bench.spec(sped + "name = \"one\"\n" + sped +
                                    "name = \"two\"\nconnections = [2, 4]\noptions = { poller = \"poll\" }\n",
                                "sweep = 1\nfinal = 5\n"),
                     "--out", bench.out()});
  INFO(run.errors);
  REQUIRE(run.status == 0);
  CHECK((run.output + run.errors).find('\x1b') == std::string::npos);
  CHECK(run.output.find("Each server's best cell, measured again with fresh trials, ranked by ") != std::string::npos);
  CHECK(run.errors.find("Each server's best cell") == std::string::npos);
  CHECK(run.output.find("  5 fresh trials of each cannot tell 2 servers apart; 6 can: ") != std::string::npos);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  CHECK(result["experiment"]["complete"] == true);
  CHECK(result["cells"].size() == 3);
  REQUIRE(result["best"].size() == 2);
  for (const json& cell : result["cells"]) {
    CHECK(cell["valid"] == true);
    if (cell["is_final"] == false) continue;
    for (const char* figure : {"throughput_mbps", "replies_per_s", "relative_to_ceiling", "memory_bytes"}) {
      CAPTURE(figure);
      REQUIRE(cell["summary"][figure]["n"] == 5);
      CHECK(cell["summary"][figure]["lower"].get<double>() <= cell["summary"][figure]["median"].get<double>());
      CHECK(cell["summary"][figure]["upper"].get<double>() >= cell["summary"][figure]["median"].get<double>());
      CHECK(cell["summary"][figure]["median"].get<double>() > 0);
    }
  }
  for (const char* file : {"spec.toml", "plan.json", "environment.json", "tables.txt"})
    CHECK(std::filesystem::exists(bench.dir.path() / "run" / file));
  CHECK(read_file(bench.dir.path() / "run/spec.toml") == read_file(bench.dir.path() / "exp.toml"));
  CHECK(bench.nothing_left_running());

  const test::Finished report = bench.bakeoff({"report", bench.out()});
  CHECK(report.status == 0);
  CHECK(report.output == read_file(bench.dir.path() / "run/tables.txt"));
  CHECK(one_line(bench.bakeoff({"run", (bench.dir.path() / "exp.toml").string(), "--out", bench.out()}), 2,
                 "holds a run already; go on with it with --resume"));
  const std::string before = bench.trials();
  CHECK(bench.bakeoff({"run", "--resume", "--out", bench.out()}).status == 0);
  CHECK(bench.trials() == before);
  CHECK(one_line(bench.bakeoff({"run", "quick", "--resume", "--out", bench.out()}), 2,
                 "holds a run of another specification"));
  bench.dir.write("run/result.json", read_file(bench.dir.path() / "run/result.json").substr(0, 1000));
  CHECK(one_line(bench.bakeoff({"report", bench.out()}), 2, "cut in half"));
}

TEST_CASE("on one processor a run works, with nothing pinned, and says what that means") {
  const Bench bench;
  std::vector<std::string> command = bench.command({"run", bench.spec(sped), "--out", bench.out()});
  command.insert(command.begin(), {"/usr/bin/taskset", "-c", std::to_string(::sched_getcpu())});
  const test::Finished run = test::run(command, long_ms);
  INFO(run.errors);
  CHECK(run.status == 0);
  const std::string note =
      "There is one processor: server, client and harness take it from each other, and nothing is pinned.";
  CHECK(run.output.find("\n" + note + "\n") != std::string::npos);
  const json placement = bench.result().at("environment").at("placement");
  CHECK(placement.at("note") == note);
  CHECK(placement.at("server_processors").empty());
  const std::string spec = bench.spec(sped + "[resources]\nserver_processors = 1000\n");
  CHECK(one_line(bench.bakeoff({"run", spec, "--out", (bench.dir.path() / "many").string()}), 2,
                 "exp: resources: server and client need 1001 processors, and there are "));
  CHECK_FALSE(std::filesystem::exists(bench.dir.path() / "many"));
}

TEST_CASE("trials have a network of their own where that is possible, and one sentence says where it cannot") {
  const Bench bench;
  bench.add_server("where", "readlink /proc/self/ns/net >>$DIR/namespaces");
  const bool has_nginx = ::access("/usr/sbin/nginx", X_OK) == 0;
  const std::string spec = bench.spec(sped + server("where") + (has_nginx ? "[[server]]\noutside = \"nginx\"\n" : "") +
                                          "[network]\nmtu = 1500\noffloads = false\n",
                                      "sweep = 2\nfinal = 0\n");
  if (const test::Finished run = bench.bakeoff({"run", spec, "--out", bench.out()}); run.status == 0) {
    const json result = bench.result();
    const json& network = result.at("environment").at("network");
    CHECK(network.at("own") == true);
    CHECK(network.at("mtu") == 1500);
    CHECK(network.at("offloads").at("tso") == false);
    CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
    for (const json& cell : result.at("cells")) CHECK(cell.at("valid") == true);
    // No server was started in our network. (Numbers of networks that are gone are used again.)
    const std::string ours = std::filesystem::read_symlink("/proc/self/ns/net").string();
    std::istringstream lines(read_file(bench.dir.path() / "namespaces"));
    std::size_t started = 0;
    for (std::string line; std::getline(lines, line); ++started) CHECK(line != ours);
    CHECK(started >= 3);  // to be verified, and for each trial
  } else {
    CHECK(one_line(run, 4, "[network]: a network of the run's own is not available: "));
  }
  // Neither rights over networks nor another user namespace.
  const auto without_rights = [&](std::vector<std::string> words) {
    std::vector<std::string> command = {
        "/usr/bin/unshare",
        "--user",
        "--map-root-user",
        "/bin/sh",
        "-c",
        "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin "
        "--inh-caps=-sys_admin \"$@\"",
        "sh"};
    const std::vector<std::string> own = bench.command(words);
    command.insert(command.end(), own.begin(), own.end());
    return test::run(command, long_ms);
  };
  const std::string again = (bench.dir.path() / "again").string();
  if (test::run({"/usr/bin/unshare", "--user", "--map-root-user", "/bin/true"}).status != 0) {
    WARN("skipped: no user namespaces here");
    return;
  }
  CHECK(one_line(without_rights({"run", spec, "--out", again}), 4,
                 "[network]: a network of the run's own is not available: "));
  // reno may be used by everybody on every machine; the ceiling uses cubic.
  std::string plain = read_file(bench.spec(sped + "options = { congestion = \"reno\" }\n", "sweep = 1\nfinal = 0\n"));
  const std::string ceiling = "ceiling = \"50ms\"";
  plain.replace(plain.find(ceiling), ceiling.size(), "ceiling = 0");
  bench.dir.write("exp.toml", plain);
  const test::Finished shared = without_rights(
      {"run", (bench.dir.path() / "exp.toml").string(), "--out", (bench.dir.path() / "shared").string()});
  INFO(shared.errors);
  CHECK(shared.status == 0);
  CHECK(shared.errors.find("no network of the run's own is available (not root, and no user namespace") !=
        std::string::npos);
  CHECK(json::parse(read_file(bench.dir.path() / "shared/result.json")).at("environment").at("network").at("own") ==
        false);
}

TEST_CASE("servers make synthetic replies where the workload asks for them") {
  const Bench bench;
  const std::string workload =
      "name = \"dynamic\"\nset = { directories = 1, burn_share = 0.2, wait_share = 0.2, wait = \"2ms\" }";
  const test::Finished run =
      bench.bakeoff({"run", bench.spec(sped, "sweep = 1\nfinal = 1\n", workload), "--out", bench.out()});
  INFO(run.errors);
  REQUIRE(run.status == 0);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  std::istringstream trials(bench.trials());
  for (std::string line; std::getline(trials, line);) {
    const json evidence = json::parse(line).at("evidence");
    CHECK(evidence.at("ready").at("options").at("dynamic") == true);
    const json& load = evidence.at("load");
    CHECK(load.at("errors").at("total") == 0);
    const json& classes = load.at("classes");
    for (const char* name : {"burn", "wait"}) {
      CAPTURE(name);
      const auto made =
          std::find_if(classes.begin(), classes.end(), [&](const json& one) { return one.at("name") == name; });
      REQUIRE(made != classes.end());
      CHECK(made->at("replies").get<int>() > 0);
    }
  }
}

TEST_CASE("plan and check say what would be run, and run nothing") {
  const Bench bench;
  const std::string spec = bench.spec(sped + "connections = [2, 4]\noptions = { poller = [\"poll\", \"epoll\"] }\n");
  const test::Finished plan = bench.bakeoff({"plan", spec});
  CHECK(plan.status == 0);
  CHECK(plan.output ==
        "sped/connections=2/workers=1/poller=poll\nsped/connections=4/workers=1/poller=poll\nsped/connections=2/"
        "workers=1/poller=epoll\n"
        "sped/connections=4/workers=1/poller=epoll\n");
  CHECK(plan.errors.starts_with("4 cells, 1 trial each, then 2 of each server's best: 6 trials"));
  CHECK(one_line(bench.bakeoff({"check", spec}), 0, "exp: fine"));
  CHECK(one_line(bench.bakeoff({"check", bench.spec(sped + "workers = 2\n")}), 2, "workers: sped takes 1, got 2"));
  CHECK_FALSE(std::filesystem::exists(bench.dir.path() / "files"));
}

// The bench's specification with other lines in place of some of its own.
std::string changed(const Bench& bench, const std::string& servers,
                    const std::vector<std::pair<std::string, std::string>>& changes,
                    const std::string& workload = "name = \"single-file\"") {
  const std::string file = bench.spec(servers, "sweep = 1\nfinal = 0\n", workload);
  std::string text = read_file(file);
  for (const auto& [from, to] : changes) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  }
  bench.dir.write("exp.toml", text);
  return file;
}

TEST_CASE("what cannot run does not pass check, nor plan, nor run") {
  const Bench bench;
  const auto refused = [&](const std::string& spec, const std::string& part) {
    for (const char* command : {"check", "plan", "run"}) {
      const bool fine = one_line(bench.bakeoff({command, spec}), 2, part);
      if (!fine) return false;
    }
    return true;
  };
  CHECK(refused(bench.spec(sped + "options = { poler = \"epoll\" }\n"),
                "exp.toml:19:1: server `sped`: sped has no option poler; did you mean poller?"));
  CHECK(refused(bench.spec(sped + "options = { cache-bytes = \"much\" }\n"), "--cache-bytes: \"much\" is not a size"));
  CHECK(refused(bench.spec(sped + "options = { residency = \"none\", helpers = \"threads\" }\n"),
                "sped has no option helpers"));
  // Clients that nobody serves: a worker a connection, or a bound on connections.
  std::filesystem::create_symlink(BAKEOFF_BIN_DIR "/mt", bench.dir.path() / "bin/mt");
  CHECK(refused(changed(bench, server("mt") + "workers = 2\n", {{"starved = 1", "starved = 0.05"}}),
                "mt/connections=4/workers=2: with workers = 2 it holds 2 connections of 4"));
  CHECK(refused(changed(bench, sped + "options = { connections = 3 }\n", {{"starved = 1", "starved = 0.05"}}),
                "it holds 3 connections of 4"));
  // Those that close their connection leave it to others.
  bench.dir.write("once.toml", "kind = \"single-file\"\nsize_bytes = 100\n[load]\nrequests_per_connection = 5\n");
  const std::string once = "name = \"once.toml\"";
  const std::string rotates = changed(bench, server("mt") + "workers = 2\n", {{"starved = 1", "starved = 0.05"}}, once);
  CHECK(bench.bakeoff({"check", rotates}).status == 0);
  CHECK(refused(changed(bench, sped, {{"connections = 4", "connections = 4\nrates = 100"}}, once),
                "the client refuses this load: with --rate, --requests-per-connection can only be 0 or 1"));
  CHECK_FALSE(std::filesystem::exists(bench.dir.path() / "runs"));
}

TEST_CASE("standard output that cannot be written is said, in every command that only writes there") {
  const Bench bench;
  const std::string spec = bench.spec(sped);
  for (const std::string& words :
       {std::string("list workloads"), std::string("--help"), std::string("--version"), std::string("man"),
        std::string("completion bash"), std::string("explain sped"), "plan " + spec, std::string("doctor --fast"),
        std::string("micro boss-worker --trials 1")}) {
    INFO(words);
    std::vector<std::string> command = {"/bin/sh", "-c", "exec \"$@\" " + words + " >/dev/full", "sh"};
    for (const std::string& word : bench.command({})) command.push_back(word);
    CHECK(ends_with_line(test::run(command, long_ms), 4, "bakeoff: cannot write to standard output"));
  }
  const std::string root = bench.dir.path().string();
  for (const std::string& words :
       {std::string("sped --help"), std::string("sped --describe"), "sped --root " + root + " --port 0",
        "mt --root " + root + " --port 0", "mp --root " + root + " --port 0",
        "thread-per-connection --root " + root + " --port 0", std::string("sped --version"),
        std::string("bakeoff-load --help"), std::string("bakeoff-load --version"), std::string("bakeoff-ceiling"),
        std::string("bakeoff-ceiling --help"), std::string("bakeoff-ceiling --version"),
        std::string("bakeoff-micro --help"), std::string("bakeoff-micro --version"),
        std::string("bakeoff-micro --system event-loop --duration 10ms --warmup 1ms")}) {
    INFO(words);
    const test::Finished full =
        test::run({"/bin/sh", "-c", "exec " BAKEOFF_BIN_DIR "/" + words + " >/dev/full"}, long_ms);
    CHECK(one_line(full, 4, "cannot write to standard output: No space left on device"));
  }
}

TEST_CASE("a plan of more than an hour says so first") {
  const Bench bench;
  const std::string spec = changed(bench, sped, {{"\"300ms\"", "5000"}});
  for (const char* command : {"plan", "check"}) {
    const test::Finished long_run = bench.bakeoff({command, spec});
    CHECK(long_run.status == 0);
    CHECK(long_run.errors.starts_with("exp takes about 1 h 2"));
    CHECK(long_run.errors.find("with a measured time of 1 h 2") != std::string::npos);
  }
}

TEST_CASE(
    "a log is replayed with what TOML says, its path is relative to the specification, and it names what is left out") {
  const Bench bench;
  std::string log;
  for (int second = 10; second < 50; ++second)
    log += "h - - [10/Oct/2025:13:55:" + std::to_string(second) + " +0000] \"GET /a HTTP/1.1\" 200 5\n";
  std::filesystem::create_directories(bench.dir.path() / "logs");
  bench.dir.write("logs/20251010", log + "broken\nh - - [10/Oct/2025:13:55:50 +0000] \"POST /a HTTP/1.1\" 200 5\n");
  const std::string spec =
      changed(bench, sped, {}, "name = \"trace\"\nset = { log = \"logs/20251010\", timing = true }");
  std::vector<std::string> command = bench.command({"run", spec, "--out", bench.out()});
  command[2] = "/";  // started elsewhere
  const test::Finished run = test::run(command, long_ms);
  INFO(run.errors);
  CHECK(run.errors.find("1 line of other methods than GET skipped") != std::string::npos);
  CHECK(run.errors.find("1 broken line skipped") != std::string::npos);
  CHECK(run.errors.find("lasts 40 s and the run 0.3 s") != std::string::npos);
  CHECK(run.errors.find("; with speed = ") != std::string::npos);
  const json load = json::parse(bench.trials().substr(0, bench.trials().find('\n'))).at("evidence").at("load");
  CHECK(load.at("model") == "open");
  CHECK(load.at("log").at("skipped").at("broken") == 1);
  CHECK(bench.result().at("experiment").at("ranked_by") == "server_cpu_us_per_reply");
  CHECK(bench.result().at("cells")[0].at("summary").at("relative_to_ceiling").at("median").is_null());
  CHECK(one_line(bench.bakeoff({"check", changed(bench, sped, {}, "name = \"trace\"\nset = { log = \"logs/none\" }")}),
                 2, "log: there is no file "));
}

TEST_CASE("a run keeps what its specification names, and does not go on with something else") {
  const Bench bench;
  bench.dir.write("small.toml", "kind = \"single-file\"\nsize_bytes = 100\n");
  const std::string spec = bench.spec(sped, "sweep = 1\nfinal = 0\n", "name = \"small.toml\"");
  REQUIRE(bench.bakeoff({"run", spec, "--out", bench.out()}).status == 0);
  CHECK(read_file(bench.dir.path() / "run/inputs/workload/small.toml") == read_file(bench.dir.path() / "small.toml"));
  const json inputs = json::parse(read_file(bench.dir.path() / "run/inputs.json")).at("inputs");
  REQUIRE(inputs.size() == 1);
  CHECK(inputs[0].at("written") == "small.toml");

  // The bundle is repeated elsewhere, without the files it was made of.
  REQUIRE(bench.bakeoff({"bundle", bench.out()}).status == 0);
  const std::string original = read_file(bench.dir.path() / "small.toml");
  bench.dir.write("small.toml", "kind = \"single-file\"\nsize_bytes = 200\n");
  CHECK(bench.bakeoff({"bundle", bench.out()}).status == 0);
  CHECK(one_line(bench.bakeoff({"run", "--resume", "--out", bench.out()}), 2, "small.toml changed; begin a new run"));
  std::filesystem::remove(bench.dir.path() / "small.toml");
  CHECK(bench.bakeoff({"run", "--resume", "--out", bench.out()}).status == 0);
  REQUIRE(test::run({"/bin/tar", "-xzf", bench.out() + ".tar.gz", "-C", bench.dir.path().string()}, long_ms).status ==
          0);
  CHECK(bench.bakeoff({"run", (bench.dir.path() / "exp/spec.toml").string(), "--out", bench.out() + "2"}).status == 0);
  bench.dir.write("run/inputs/workload/small.toml", original + "# touched\n");
  CHECK(one_line(bench.bakeoff({"run", "--resume", "--out", bench.out()}), 2, "small.toml changed"));
}

TEST_CASE("a server of others may be described anywhere, is tried by check, and tells why it does not start") {
  const Bench bench;
  const std::string dir = bench.dir.path().string();
  std::filesystem::create_directories(bench.dir.path() / "outside");
  const auto describe = [&](const std::string& program, const std::string& more = "") {
    bench.dir.write("outside/other.toml", "title = \"a test\"\nprogram = [\"" + dir + "/" + program +
                                              "\"]\npackage = \"none\"\narguments = [\"@root@\", \"@port@\"]\n" + more);
  };
  const auto write_program = [&](const std::string& name, const std::string& script) {
    bench.dir.write(name, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(bench.dir.path() / name, std::filesystem::perms::owner_all);
  };
  write_program("fine", "exec " + dir + "/bin/sped --root \"$1\" --port \"$2\" >/dev/null");
  write_program("doomed", "echo it said this; echo and that >&2; exit 3");
  describe("fine");
  CHECK(ends_with_line(bench.bakeoff({"check", "outside/other.toml"}), 0, "other: fine, "));
  const std::string spec = bench.spec("[[server]]\noutside = \"./outside/other.toml\"\n", "sweep = 1\nfinal = 0\n");
  const test::Finished run = bench.bakeoff({"run", spec, "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 0);
  CHECK(bench.result().at("cells")[0].at("server") == "other");
  CHECK(std::filesystem::exists(bench.dir.path() / "run/inputs/outside/other.toml"));

  if (test::is_installed("python3")) {
    // From any folder; and a server that closes after each reply is named before it is measured.
    const std::string folder = "it's \xff";
    std::filesystem::create_directories(bench.dir.path() / folder);
    bench.dir.write(folder + "/closing.toml",
                    "title = \"a test\"\nprogram = \"/usr/bin/python3\"\narguments = [\"-m\", \"http.server\", "
                    "\"@port@\", \"--directory\", \"@root@\", \"--bind\", \"127.0.0.1\"]\n");
    const test::Finished closing = bench.bakeoff({"check", folder + "/closing.toml"});
    CHECK(ends_with_line(closing, 0, "closing: fine, "));
    CHECK(closing.errors.find("closing closes the connection after each reply: every request pays for a new one\n") !=
          std::string::npos);
  }

  describe("doomed");
  const test::Finished doomed = bench.bakeoff({"check", "outside/other.toml"});
  CHECK(ends_with_line(doomed, 4, "other did not start: exit status 3; command line: " + dir + "/doomed "));
  CHECK(ends_with_line(doomed, 4, "; it said: it said this | and that"));
  describe("fine", "connections_are_workers = true\n");
  CHECK(one_line(bench.bakeoff({"check", changed(bench, "[[server]]\noutside = \"outside/other.toml\"\n",
                                                 {{"starved = 1", "starved = 0.05"}})}),
                 2, "it holds 1 connections of 4"));
  CHECK(one_line(bench.bakeoff({"check", bench.spec("[[server]]\noutside = \"./outside/none.toml\"\n")}), 2,
                 "outside: there is no file "));
}

TEST_CASE("a preset is explained, and every program tells its version") {
  const Bench bench;
  std::filesystem::create_symlink(BAKEOFF_BIN_DIR "/thread-per-connection",
                                  bench.dir.path() / "bin/thread-per-connection");
  const test::Finished explained = bench.bakeoff({"explain", "knot-b"});
  CHECK(explained.status == 0);
  for (const char* part : {"paper: Pariag 2007, 4.3 and Table 1", "architecture: thread-per-connection", "who waits",
                           "  --send blocking\n", "and leaves\n", "  --cache-heads: on, off\n",
                           "Command line: thread-per-connection --connections ..20000 --workers 100 --send blocking"}) {
    INFO(part);
    CHECK(explained.output.find(part) != std::string::npos);
  }
  for (const std::vector<std::string>& words : {std::vector<std::string>{"explain"}, {"serve", "--root", "."}}) {
    const auto refused = [&](const std::string& name, const std::string& part) {
      std::vector<std::string> all = words;
      all.insert(all.begin() + 1, name);
      return one_line(bench.bakeoff(all), 2, part);
    };
    CHECK(refused("knotc", "there is no preset or architecture `knotc`; did you mean `knot-c`?"));
    CHECK(refused("quick", "`quick` is an experiment; see bakeoff plan quick, and "));
    CHECK(refused("specweb99", "`specweb99` is a workload"));
    CHECK(refused("nginx", "`nginx` is a server of others"));
    CHECK(refused("something-else-altogether", "see bakeoff list presets architectures"));
  }
  const test::Finished help = bench.bakeoff({"serve", "sped", "--help"});
  CHECK(help.status == 0);
  CHECK(help.output.find("--poller") != std::string::npos);
  CHECK(help.output.find("--helpers") == std::string::npos);  // it means nothing there
  for (const char* program : {"bakeoff", "bakeoff-load", "bakeoff-ceiling", "bakeoff-micro", "sped"}) {
    const test::Finished version = test::run({std::string(BAKEOFF_BIN_DIR "/") + program, "--version"}, long_ms);
    CHECK(version.status == 0);
    CHECK(version.output.starts_with(std::string(program) + ", bakeoff "));
    CHECK(version.output.find(", revision ") != std::string::npos);
  }
  // A command's name stands once before what it says.
  CHECK(bench.bakeoff({"list", "colours"}).errors.starts_with("bakeoff list: "));
}

TEST_CASE("a new architecture begins as a file and a line") {
  const Bench bench;
  const std::filesystem::path data = bench.dir.path() / "data/architectures";
  std::filesystem::create_directories(data);
  for (const char* name : {"CMakeLists.txt", "template.cpp.in"})
    std::filesystem::copy_file(std::filesystem::path(BAKEOFF_SOURCE) / "architectures" / name, data / name);
  const auto make = [&](const std::string& name) {
    std::vector<std::string> command = bench.command({"new", "architecture", name});
    command.insert(command.begin() + 3, "BAKEOFF_DATA=" + (bench.dir.path() / "data").string());
    return test::run(command, long_ms);
  };
  const test::Finished made = make("my-server");
  INFO(made.errors);
  CHECK(made.status == 0);
  CHECK(read_file(data / "my_server.cpp").find(".name = \"my-server\"") != std::string::npos);
  CHECK(read_file(data / "CMakeLists.txt").ends_with("add_architecture(my-server)\n"));
  CHECK(one_line(make("my-server"), 2, "is there already"));
  CHECK(one_line(make("My server"), 2, "expected a name of a-z, 0-9 and -"));
}

TEST_CASE("the same trials are ranked by further figures, and the README's queries find them") {
  const Bench bench;
  const std::string spec =
      changed(bench, sped,
              {{"title = \"a test\"", "rank_by = [\"server_cpu_us_per_reply\", \"latency_ms.p99\"]"},
               {"final = 0", "final = 2"}});
  const test::Finished run = bench.bakeoff({"run", spec, "--strict", "--wide", "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 0);
  CHECK(run.output.find("The same trials, ranked by latency_ms.p99.") != std::string::npos);
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(bench.result()));
  CHECK(bench.bakeoff({"report", bench.out()}).output == read_file(bench.dir.path() / "run/tables.txt"));
  CHECK(bench.bakeoff({"report", bench.out(), "--format", "junit"}).output.find(" time=\"0.") != std::string::npos);

  if (::access("/usr/bin/jq", X_OK) != 0) {
    WARN("skipped: there is no jq");
    return;
  }
  std::istringstream readme(read_file(std::filesystem::path(BAKEOFF_SOURCE) / "results/README.md"));
  int queries = 0;
  for (std::string line; std::getline(readme, line);) {
    if (!line.starts_with("    jq ")) continue;
    CAPTURE(line);
    ++queries;
    const test::Finished query = test::run({"/bin/sh", "-c", "RUN='" + bench.out() + "';" + line}, long_ms);
    INFO(query.errors);
    CHECK(query.status == 0);
    CHECK(query.output.find("sped") != std::string::npos);
  }
  CHECK(queries >= 4);
}

TEST_CASE("a cell that is not valid fails a strict run") {
  const Bench bench;
  const std::string spec = changed(bench, sped + "[slo]\np50 = 0\n", {});
  const test::Finished run = bench.bakeoff({"run", spec, "--strict", "--out", bench.out()});
  CHECK(run.status == 1);
  CHECK(run.errors.find("not valid: sped/connections=4/workers=1: misses the SLO") != std::string::npos);
}

TEST_CASE("tune ends with a result as run does, and tells its path") {
  const Bench bench;
  const std::string spec = bench.spec(sped + "connections = [1, 2, 3, 4, 6, 8, 12, 16, 24]\n");
  const test::Finished tune = bench.bakeoff({"tune", spec, "--out", bench.out()});
  INFO(tune.errors);
  REQUIRE(tune.status == 0);
  CHECK(tune.errors.find("sped: coarse, 2 of 9 cells") != std::string::npos);
  CHECK(read_file(bench.dir.path() / "run/path.txt").find("sped: settled on sped/connections=") != std::string::npos);
  CHECK(bench.result()["best"].size() == 1);
  CHECK(lines_of(bench.trials()) == 5);  // a third of nine, and two of the winner
  CHECK(one_line(bench.bakeoff({"run", "--resume", "--out", bench.out()}), 2, "was begun by bakeoff tune"));
  CHECK(bench.bakeoff({"tune", "--resume", "--out", bench.out()}).status == 0);
  CHECK(lines_of(bench.trials()) == 5);
}

TEST_CASE("a peak is searched for from a closed loop, whose files and warm-up serve every rate") {
  const Bench bench;
  const std::string spec = changed(bench, "[peak]\nstart = 500\nanswers = 3\n" + sped,
                                   {{"warmup = 0", "warmup = \"50ms\""},
                                    {"final = 0", "final = 1\nturn = \"20ms\""},
                                    {"ceiling = \"50ms\"", "ceiling = 0"}});
  const test::Finished run = bench.bakeoff({"peak", spec, "--out", bench.out()});
  INFO(run.errors);
  REQUIRE(run.status == 0);
  CHECK(run.output.find("Highest rate sustained") != std::string::npos);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  CHECK(result.at("peaks").size() == 1);
  CHECK(result.at("experiment").at("turn_s") == 0);  // of a closed loop alone
  CHECK(result.at("cells").at(0).at("id") == "sped/connections=4/workers=1/rate=500");
  CHECK(bench.bakeoff({"peak", "--resume", "--out", bench.out()}).output == run.output);
}

TEST_CASE("compare finds a build slower that is, and not one that is the same") {
  const Bench bench;
  const std::string spec = bench.spec(sped);
  const std::string baseline = (bench.dir.path() / "bin").string(), slow = (bench.dir.path() / "slow").string();
  const test::Finished same = bench.bakeoff({"compare", "--baseline", baseline, "--candidate", baseline, "--budget",
                                             "60s", "--margin", "0.95", "--json", "-", spec});
  INFO(same.errors);
  CHECK(same.status == 0);
  const json report = json::parse(same.output);
  CHECK(report["verdict"] == "fine");
  CHECK(report["cells"].size() == 2);  // a cell by two figures
  // It ended at the first look with as many trials as "fine" needs without a failure.
  CHECK(report["blocks"] >= 30);
  CHECK(report["spent_s"] < 60);
  CHECK(report["trials"].size() == 2 * report["blocks"].get<std::size_t>());
  CHECK(report["needs_s"].is_null());
  // Most of its processor goes to others, be the machine idle or busy.
  bench.dir.write("slow/sped", "#!/bin/sh\n[ \"$1\" = --describe ] && exec " + baseline +
                                   "/sped --describe\nwhile :; do :; done &\nwhile :; do :; done &\nexec nice -n 5 " +
                                   baseline + "/sped \"$@\"\n");
  std::filesystem::permissions(slow + "/sped", std::filesystem::perms::owner_all);
  const test::Finished slower = bench.bakeoff({"compare", "--baseline", baseline, "--candidate", slow, "--budget",
                                               "30s", "--margin", "0.1", "--by", "replies_per_s", spec});
  INFO(slower.errors);
  CHECK(slower.status == 1);
  CHECK(slower.errors.find("exp by replies_per_s: regressed: replies_per_s of sped/connections=4/workers=1 is ") !=
        std::string::npos);
  CHECK(slower.output.find("cand./base") != std::string::npos);
  CHECK(bench.nothing_left_running());
}

TEST_CASE("compare speaks JUnit and Markdown, and a soak finds a build that grows") {
  const Bench bench;
  const std::string spec = bench.spec(sped), build = (bench.dir.path() / "bin").string();
  const auto compare = [&](const std::string& candidate, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"compare",  "--baseline", build,      "--candidate", candidate,
                                      "--budget", "20s",        "--margin", "0.9",         spec};
    words.insert(words.end(), more.begin(), more.end());
    return bench.bakeoff(words);
  };
  const test::Finished junit = compare(build, {"--format", "junit"});
  INFO(junit.errors);
  CHECK(junit.output.starts_with("<?xml "));
  CHECK(junit.output.find("<testcase classname=\"exp.replies_per_s\" name=\"sped/connections=4/workers=1\" time=\"") !=
        std::string::npos);
  CHECK(one_line(compare(build, {"--format", "html"}), 2, "expected json, markdown, github or junit"));
  CHECK(one_line(compare(build, {"--format", "junit", "--json", "-"}), 2, "both write to standard output"));

  // A build whose server leaves descriptors open, ever more.
  std::filesystem::create_directories(bench.dir.path() / "leaky");
  bench.dir.write("leaky/sped", "#!/bin/bash\n[ \"$1\" = --describe ] && exec " + build + "/sped \"$@\"\n" + build +
                                    "/sped \"$@\" & exec bash -c 'while sleep 0.02; do exec {fd}</dev/null; done'\n");
  std::filesystem::permissions(bench.dir.path() / "leaky/sped", std::filesystem::perms::owner_all);
  const test::Finished soak = compare((bench.dir.path() / "leaky").string(), {"--soak", "6s", "--format", "markdown"});
  INFO(soak.errors);
  CHECK(soak.status == 1);
  CHECK(soak.output.find("regressed") != std::string::npos);
  CHECK(soak.output.find("descriptors grow by ") != std::string::npos);
}

TEST_CASE("compare refuses what it cannot do in one line, before anything is measured") {
  const Bench bench;
  const std::string spec = bench.spec(sped), build = (bench.dir.path() / "bin").string();
  const auto refused = [&](const std::vector<std::string>& more, const std::string& part) {
    std::vector<std::string> words = {"compare", "--baseline", build, "--candidate", build};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(spec);
    return one_line(bench.bakeoff(words), 2, part);
  };
  CHECK(refused({"--budget", "4s"}, "--budget 4s: one look takes 8 pairs of 1 cell, at least 5 s;"));
  CHECK(refused({"--budget", "soon"}, "--budget soon: expected a duration such as 10s, 250ms or 5min"));
  CHECK(refused({"--margin", "0"}, "--margin: expected a share above 0 and below 1, 0.05 for 5 %, got 0"));
  CHECK(refused({"--margin", "2"}, "--margin: expected a share above 0 and below 1, 0.05 for 5 %, got 2"));
  CHECK(refused({"--by", "speed"}, "--by speed: expected one of throughput_mbps, "));
  CHECK(refused({"--by", "errors"}, "--by errors: expected one of throughput_mbps, "));  // it may be 0
  CHECK(refused({"--by", "replies_per_s:2"}, "--by replies_per_s:2: expected a share above 0 and below 1"));
  CHECK(refused({"--by", "replies_per_s:x"}, "expected FIGURE or FIGURE:MARGIN"));
  CHECK(refused({"--by", "replies_per_s,replies_per_s"}, "replies_per_s is there twice"));
  CHECK(refused({"--undecided", "maybe"}, "--undecided maybe: expected pass or fail"));
  CHECK(one_line(
      bench.bakeoff({"compare", "--baseline", build, "--candidate", build, "--json", "/no/such/dir/report.json", spec}),
      4, "cannot write /no/such/dir/report.json: No such file or directory"));
  CHECK(one_line(bench.bakeoff({"compare", "--baseline", "nowhere", "--candidate", build, spec}), 2,
                 "nowhere is not a directory"));
  CHECK(one_line(bench.bakeoff({"compare", "--baseline", build, spec}), 2,
                 "expected --baseline DIR and --candidate DIR"));
}

TEST_CASE("a comparison that stays open has a status of its own") {
  const Bench bench;
  // Without a ceiling there is no share of it: whatever is measured, that figure stays open.
  std::string text = read_file(bench.spec(sped));
  const std::string ceiling = "ceiling = \"50ms\"";
  text.replace(text.find(ceiling), ceiling.size(), "ceiling = 0");
  bench.dir.write("exp.toml", text);
  const std::string spec = (bench.dir.path() / "exp.toml").string();
  const std::string build = (bench.dir.path() / "bin").string();
  const test::Finished open = bench.bakeoff({"compare", "--baseline", build, "--candidate", build, "--budget", "12s",
                                             "--by", "replies_per_s:0.95,relative_to_ceiling", spec});
  CHECK(ends_with_line(open, 3, "undecided: relative_to_ceiling of sped/connections=4/workers=1 is missing in every"));
}

TEST_CASE("a candidate that crashes under load is regressed, and a baseline that does cannot be compared with") {
  const Bench bench;
  const std::string sound = (bench.dir.path() / "bin").string(), crashing = (bench.dir.path() / "crashing").string();
  // It passes verification, and dies in the middle of each trial.
  bench.dir.write("crashing/sped",
                  "#!/bin/sh\n[ \"$1\" = --describe ] && exec " + sound +
                      "/sped --describe\nDIR=" + bench.dir.path().string() +
                      "\nif [ -e $DIR/verified ]; then (sleep 0.15; kill -ABRT $$) & fi; touch $DIR/verified\nexec " +
                      sound + "/sped \"$@\"\n");
  std::filesystem::permissions(crashing + "/sped", std::filesystem::perms::owner_all);
  const std::string spec = bench.spec(sped), report = (bench.dir.path() / "report.json").string();
  const test::Finished worse = bench.bakeoff(
      {"compare", "--baseline", sound, "--candidate", crashing, "--budget", "15s", "--json", report, spec});
  CHECK(ends_with_line(worse, 1,
                       "regressed: the candidate fails in 8 of 8 trials of sped/connections=4/workers=1 (the server "
                       "died: killed by signal 6"));
  CHECK(json::parse(read_file(report))["trials"].size() == 16);
  std::filesystem::remove(bench.dir.path() / "verified");
  const test::Finished baseless =
      bench.bakeoff({"compare", "--baseline", crashing, "--candidate", sound, "--budget", "15s", spec});
  CHECK(
      ends_with_line(baseless, 4, "not comparable: the baseline itself fails in 8 of 8 trials of sped/connections=4"));
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a candidate that does not verify is regressed, and a baseline that does not is none") {
  const Bench bench;
  const std::string sound = (bench.dir.path() / "bin").string(), broken = (bench.dir.path() / "broken").string();
  bench.dir.write("broken/sped", "#!/bin/sh\n[ \"$1\" = --describe ] && exec " + sound +
                                     "/sped --describe\necho 'sped: no luck today' >&2\nexit 4\n");
  std::filesystem::permissions(broken + "/sped", std::filesystem::perms::owner_all);
  const std::string spec = bench.spec(sped);
  CHECK(ends_with_line(bench.bakeoff({"compare", "--baseline", sound, "--candidate", broken, spec}), 1,
                       "regressed: the candidate: sped did not start: sped: no luck today"));
  CHECK(ends_with_line(bench.bakeoff({"compare", "--baseline", broken, "--candidate", sound, spec}), 4,
                       "not comparable: the baseline: sped did not start: sped: no luck today"));
}

TEST_CASE("a server that is kept out of one contest is not missed there") {
  const Bench bench;
  const test::Finished run = bench.bakeoff(
      {"run",
       bench.spec(sped + "name = \"one\"\n" + sped +
                      "name = \"two\"\n[[exclude]]\nserver = \"two\"\nset = { size_bytes = \"1KB\" }\n",
                  "sweep = 1\nfinal = 1\n", "name = \"single-file\"\nset = { size_bytes = [\"1KB\", \"2KB\"] }"),
       "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 0);
  CHECK(bench.result()["best"].size() == 3);
}

TEST_CASE("a trial in which others took the processors is void, repeated, and never an outcome") {
  const Bench bench;
  cpu_set_t may;
  if (sched_getaffinity(0, sizeof may, &may) != 0 || CPU_COUNT(&may) < 2) {
    WARN("one processor: nobody looks who else had it");
    return;
  }
  std::string spec = read_file(bench.spec(sped, "repeat_share = 10\nsweep = 1\nfinal = 0\n"));
  for (const auto& [from, to] : {std::pair{"others = 1000", "others = 0.2"}, std::pair{"repeats = 0", "repeats = 2"}})
    spec.replace(spec.find(from), std::string(from).size(), to);
  bench.dir.write("exp.toml", spec);
  std::vector<std::unique_ptr<test::Child>> others;
  for (int i = 0; i < 2 * CPU_COUNT(&may); ++i)
    others.push_back(std::make_unique<test::Child>(std::vector<std::string>{"/bin/sh", "-c", "while :; do :; done"}));
  const test::Finished run = bench.bakeoff({"run", (bench.dir.path() / "exp.toml").string(), "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 1);
  CHECK(lines_of(bench.trials()) == 3);
  CHECK(run.errors.find("void: other processes took the processors") != std::string::npos);
  const json cell = bench.result()["cells"][0];
  CHECK(cell["void_trials"] == 3);
  CHECK(cell["valid"] == false);
  CHECK(cell["reasons"][0] == "every trial was void: other processes took the processors");
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(bench.result()));
}

TEST_CASE("where the ceiling cannot be read trials are void, which one sentence says, and are kept") {
  // It does not start; it does not answer.
  for (const std::string ceiling : {"exit 3", "echo '{\"event\":\"ready\",\"port\":1}'; sleep 0.2; exit 1"}) {
    CAPTURE(ceiling);
    const Bench bench;
    std::filesystem::remove(bench.dir.path() / "bin/bakeoff-ceiling");
    bench.dir.write("bin/bakeoff-ceiling", "#!/bin/sh\n" + ceiling + "\n");
    std::filesystem::permissions(bench.dir.path() / "bin/bakeoff-ceiling", std::filesystem::perms::owner_all);
    const test::Finished run = bench.bakeoff({"run", bench.spec(sped, "sweep = 1\nfinal = 0\n"), "--out", bench.out()});
    INFO(run.errors);
    CHECK(run.status == 1);
    CHECK(run.errors.find("ceiling") != std::string::npos);
    CHECK(lines_of(bench.trials()) == 1);
    const json cell = bench.result()["cells"][0];
    CHECK(cell["void_trials"] == 1);
    CHECK(cell["reasons"][0].get<std::string>().find("ceiling") != std::string::npos);
    CHECK(json::parse(bench.trials()).at("evidence").at("load").at("replies") > 0);  // what was measured
    CHECK(bench.nothing_left_running());
  }
}

TEST_CASE("a run is exported, bundled, and compared with itself, but not with one of another specification") {
  const Bench bench;
  REQUIRE(bench.bakeoff({"run", bench.spec(sped, "sweep = 1\nfinal = 5\n"), "--out", bench.out()}).status == 0);
  const test::Finished csv = bench.bakeoff({"report", bench.out(), "--format", "csv"});
  CHECK(csv.status == 0);
  CHECK(lines_of(csv.output) == 1 + lines_of(bench.trials()));
  CHECK(json::parse(bench.bakeoff({"report", bench.out(), "--format", "google-benchmark"}).output)
            .at("benchmarks")
            .size() == 5);
  CHECK(bench.bakeoff({"report", bench.out(), "--format", "xls"}).status == 2);

  CHECK(bench.bakeoff({"bundle", bench.out()}).status == 0);
  const std::string archive = bench.out() + ".tar.gz", first = read_file(archive);
  CHECK(bench.bakeoff({"bundle", bench.out()}).status == 0);
  CHECK(read_file(archive) == first);
  const test::Finished sums =
      test::run({"/bin/sh", "-c",
                 "cd '" + bench.dir.path().string() + "' && tar xzf run.tar.gz && cd exp && sha256sum -c SHA256SUMS"},
                long_ms);
  INFO(sums.output << sums.errors);
  CHECK(sums.status == 0);

  const test::Finished same = bench.bakeoff({"compare", bench.out(), bench.out(), "--margin", "0.95"});
  INFO(same.errors);
  CHECK(same.status == 0);
  CHECK(same.errors.find("stored results, measured at different times: weaker") != std::string::npos);
  CHECK(same.errors.find("fine: 1 shown to be less than the margin worse") != std::string::npos);
  CHECK(same.output.find("1.000") != std::string::npos);
  // With itself a run is equal, yet not shown to be so to the last digit.
  CHECK(ends_with_line(bench.bakeoff({"compare", bench.out(), bench.out(), "--margin", "0.000001"}), 3, "undecided: "));
  // What is no file of its own is written where it is, and not replaced by one: a device would be gone for all.
  for (const char* device : {"/dev/null", "/dev/full"}) {
    const std::filesystem::path link = bench.dir.path() / "device";
    std::filesystem::remove(link);
    std::filesystem::create_symlink(device, link);
    const int status = std::string(device) == "/dev/full" ? 4 : 0;
    const test::Finished compared =
        bench.bakeoff({"compare", bench.out(), bench.out(), "--margin", "0.95", "--json", link.string()});
    CHECK(compared.status == status);
    CHECK(compared.output == same.output);
    CHECK(compared.errors.find(": fine: ") != std::string::npos);
    CHECK(bench.bakeoff({"bundle", bench.out(), "--out", link.string()}).status == status);
    CHECK(std::filesystem::is_symlink(link));
    CHECK(std::filesystem::is_character_file(device));
  }
  CHECK(ends_with_line(
      bench.bakeoff({"compare", bench.out(), bench.out(), "--margin", "0.000001", "--undecided", "pass"}), 0,
      "undecided: "));
  json other = bench.result();
  other["experiment"]["spec_sha256"] = std::string(64, '0');
  bench.dir.write("other.json", other.dump());
  CHECK(one_line(bench.bakeoff({"compare", bench.out(), "other.json"}), 2, "--force compares them nevertheless"));
  CHECK(bench.bakeoff({"compare", bench.out(), "other.json", "--force", "--margin", "0.95"}).status == 0);
  json older = bench.result();
  older["schema_version"] = 1;
  bench.dir.write("older.json", older.dump());
  CHECK(one_line(bench.bakeoff({"compare", bench.out(), "older.json"}), 2,
                 "the result has schema version 1, this bakeoff reads version 2"));
  // A cell that is valid in the first alone is a regression; one that is not valid there is no measure.
  json broken = bench.result();
  broken["cells"][0]["valid"] = false;
  broken["cells"][0]["reasons"] = {"the server died"};
  bench.dir.write("broken.json", broken.dump());
  CHECK(ends_with_line(bench.bakeoff({"compare", bench.out(), "broken.json"}), 1, "regressed: sped/connections=4"));
  CHECK(ends_with_line(bench.bakeoff({"compare", "broken.json", bench.out()}), 4,
                       "not comparable: no cell can be compared"));
  CHECK(one_line(bench.bakeoff({"compare", bench.out()}), 2, "the folders of two runs"));
  CHECK(one_line(bench.bakeoff({"compare", bench.out(), bench.out(), "--by", "speed"}), 2,
                 "expected one of throughput_mbps, "));
}

TEST_CASE("bakeoff describes itself to the shell and to man") {
  const Bench bench;
  const test::Finished completion = bench.bakeoff({"completion", "bash"});
  CHECK(completion.status == 0);
  bench.dir.write(
      "completion.bash",
      completion.output + "COMP_WORDS=(bakeoff compare --und) COMP_CWORD=2\n_bakeoff\necho \"${COMPREPLY[@]}\"\n");
  CHECK(test::run({"/bin/bash", (bench.dir.path() / "completion.bash").string()}, long_ms).output == "--undecided\n");
  CHECK(one_line(bench.bakeoff({"completion", "tcsh"}), 2, "there is completion for bash only"));
  CHECK(bench.bakeoff({"man"}).output.find(".TH BAKEOFF 1") == 0);
}

TEST_CASE("the doctor names what it found and what mends it") {
  const Bench bench;
  const test::Finished doctor = bench.bakeoff({"doctor", "--fast"});
  INFO(doctor.output);
  CHECK((doctor.status == 0 || doctor.status == 1));
  CHECK(doctor.output.find("descriptors") != std::string::npos);
  CHECK((doctor.status == 1) == (doctor.output.find("SPOILS") != std::string::npos));
}

TEST_CASE("what there is can be listed, verified and served") {
  const Bench bench;
  const test::Finished list = bench.bakeoff({"list", "workloads", "experiments"});
  CHECK(list.status == 0);
  CHECK(list.output.find("  quick ") != std::string::npos);
  CHECK(list.output.find("  specweb99 ") != std::string::npos);
  CHECK(bench.bakeoff({"verify", bench.spec(sped)}).status == 0);

  test::Child serving(bench.command({"serve", "sped", "--root", bench.dir.path().string(), "--port", "0"}));
  const auto ready = serving.read_line();
  REQUIRE(ready);
  const json line = json::parse(*ready);
  CHECK(line["event"] == "ready");
  const std::string port = std::to_string(line["port"].get<int>());
  CHECK(one_line(bench.bakeoff({"serve", "sped", "--root", bench.dir.path().string(), "--port", port}), 4, port));
  serving.signal(SIGTERM);
  CHECK(serving.wait() == 0);
  CHECK(one_line(bench.bakeoff({"serve", "sped", "--root", (bench.dir.path() / "nowhere").string()}), 2, "nowhere"));
  CHECK(one_line(bench.bakeoff({"serve", "sped", "--root", bench.dir.path().string(), "--no-such-option", "1"}), 2,
                 "no-such-option"));
}

TEST_CASE("micro-experiments need no network, and end with a table and a result like any other") {
  const Bench bench;
  const test::Finished list = bench.bakeoff({"list", "micro"});
  CHECK(list.status == 0);
  for (const char* name : {"seda-threads", "seda-events", "hotos-threads", "boss-worker"})
    CHECK(list.output.find(name) != std::string::npos);

  const test::Finished run = bench.bakeoff({"micro", "boss-worker", "--trials", "2", "--out", bench.out()});
  CHECK(run.status == 0);
  CHECK(run.output.find("Boss-worker: 360 ms in all, 196 ms an order.") != std::string::npos);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  REQUIRE(result.at("cells").size() == 2);
  CHECK(result.at("best").empty());  // which way is better depends on the metric
  CHECK(result.at("environment").at("binaries").contains("bakeoff-micro"));
  const std::vector<std::pair<double, double>> least_ms = {{360, 2160.0 / 11}, {320, 220}};
  for (std::size_t i = 0; i < 2; ++i) {
    const json& latency = result.at("cells")[i].at("summary").at("latency_ms");
    CHECK(latency.at("max").at("n") == 2);
    CHECK(latency.at("max").at("median").get<double>() >= least_ms[i].first);  // waits are never too short
    CHECK(latency.at("mean").at("median").get<double>() >= least_ms[i].second);
  }
  CHECK(lines_of(bench.trials()) == 4);
  const test::Finished report = bench.bakeoff({"report", bench.out()});
  CHECK(report.status == 0);
  CHECK(report.output == read_file(bench.dir.path() / "run/tables.txt"));

  // The thread sanitizer has no room for a hundred thousand threads, user-level ones or not.
  const char* const some = test::sanitized ? "seda-events" : "hotos-threads";
  CHECK(bench.bakeoff({"micro", some, "--trials", "1", "--duration", "200ms", "--out", bench.out() + "-2"}).status ==
        0);

  CHECK(one_line(bench.bakeoff({"micro", "boss-workers"}), 2, "did you mean `boss-worker`?"));
  CHECK(one_line(bench.bakeoff({"micro", "boss-worker", "--duration", "1s"}), 2,
                 "--duration means nothing to boss-worker"));
  CHECK(one_line(bench.bakeoff({"micro", "seda-events", "--duration", "5"}), 2, "is not a time"));
  CHECK(one_line(bench.bakeoff({"micro", "seda-events", "--trials", "0"}), 2, "--trials must be from 1 to 100"));
  CHECK(one_line(bench.bakeoff({"micro"}), 2, "expected a micro-experiment's name"));
  CHECK(one_line(bench.bakeoff({"micro", "boss-worker", "--out", bench.out()}), 2, "holds a run already"));
}

TEST_CASE("a server that dies at its start ends the run with its own words") {
  const Bench bench;
  bench.add_server("doomed", "echo 'doomed: the stars are wrong; wait' >&2; exit 4");
  CHECK(ends_with_line(bench.bakeoff({"run", bench.spec(sped + server("doomed")), "--out", bench.out()}), 4,
                       "bakeoff: doomed did not start: doomed: the stars are wrong; wait"));
  bench.add_server("silent", "exit 7");
  CHECK(ends_with_line(bench.bakeoff({"verify", bench.spec(server("silent"))}), 4,
                       "silent did not start: it ended with exit status 7 and said nothing"));
  bench.add_server("babbler", "echo hello; exec sleep 1000");
  CHECK(ends_with_line(bench.bakeoff({"verify", bench.spec(server("babbler"))}), 4,
                       "babbler did not start: expected its ready line, got hello"));
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a server with wrong bytes is not measured") {
  const Bench bench;
  bench.add_server("liar",
                   "cp -r \"$2\" $DIR/forged; for f in $(find $DIR/forged -type f); do tr 'a-m' 'n-z' <$f >$DIR/x; tr "
                   "'\\000-\\200' '\\001-\\201' <$f >$f.new; mv $f.new $f; done\n"
                   "shift 2; exec $SPED --root $DIR/forged \"$@\"");
  const test::Finished run = bench.bakeoff({"run", bench.spec(sped + server("liar")), "--out", bench.out()});
  CHECK(ends_with_line(run, 4, "bakeoff: liar: /"));
  CHECK(ends_with_line(run, 4, "the bytes are wrong"));
  CHECK(bench.trials().empty());
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a server that dies midway loses that trial, and the run goes on") {
  const Bench bench;
  // It behaves while it is verified, and dies in each trial.
  bench.add_server("mortal",
                   "if [ -e $DIR/verified ]; then $SPED \"$@\" & sleep 0.05; echo 'mortal: out of luck' >&2; kill -9 "
                   "$! $$; fi; touch $DIR/verified");
  const test::Finished run = bench.bakeoff({"run", bench.spec(server("mortal") + sped), "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 1);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  REQUIRE(result["best"].size() == 1);
  CHECK(result["best"][0]["server"] == "sped");
  REQUIRE(result["cells"][0]["server"] == "mortal");
  CHECK(result["cells"][0]["valid"] == false);
  CHECK(result["cells"][0]["reasons"][0] ==
        "the server died: killed by signal 9 (Killed); its last output: mortal: out of luck");
  CHECK(run.output.find("not ranked: mortal, no valid cell (the server died") != std::string::npos);
  CHECK(bench.nothing_left_running());
}

TEST_CASE("servers take turns: ours, one of others, and one that dies in its turn") {
  const Bench bench;
  bench.add_program("mt");
  // It behaves while it is verified, and dies in each trial.
  bench.add_server("mortal",
                   "if [ -e $DIR/verified ]; then $SPED \"$@\" & sleep 0.3; kill -9 $! $$; fi; touch $DIR/verified");
  std::string servers = server("mortal") + sped + server("mt") + "workers = 2\n";  // of four connections two starve
  std::size_t count = 3;
  if (::access("/usr/sbin/nginx", X_OK) == 0) {
    servers += "[[server]]\noutside = \"nginx\"\n";
    ++count;
  }
  const std::string spec = bench.spec(servers, "sweep = 1\nfinal = 1\nturn = \"50ms\"\n");
  const test::Finished run = bench.bakeoff({"run", spec, "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 1);
  CHECK(run.output.find("not ranked: mortal, no valid cell (the server died") != std::string::npos);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  CHECK(result["best"].size() == count - 1);
  for (const json& cell : result["cells"]) {
    CAPTURE(cell);
    CHECK(cell["valid"] == (cell["server"] != "mortal"));
    if (cell["server"] == "mortal") continue;
    const json& summary = cell["summary"];
    CHECK(summary["replies_per_s"]["median"] > 100);
    CHECK(summary["server_cpu_us_per_reply"]["median"] > 0);
    CHECK(summary["relative_to_ceiling"]["median"] > 0);
    CHECK(summary["memory_bytes"]["median"] > 0);
    CHECK(summary["cpu_utilisation"]["median"] <= 1);
  }
  std::istringstream lines(bench.trials());
  for (std::string line; std::getline(lines, line);) {
    const json trial = json::parse(line);
    if (trial["cell"].get<std::string>().rfind("sped", 0) != 0) continue;
    CHECK(trial["evidence"]["turns"] == 6);
    CHECK(trial["evidence"]["load"]["duration_s"] >= 0.3);
  }
  CHECK(bench.nothing_left_running());
}

TEST_CASE("compare takes turns: equal builds are fine, and one that crashes is regressed") {
  const Bench bench;
  const std::string spec = bench.spec(sped, "turn = \"50ms\"\n");
  const std::string baseline = (bench.dir.path() / "bin").string(), mortal = (bench.dir.path() / "mortal").string();
  const test::Finished same = bench.bakeoff(
      {"compare", "--baseline", baseline, "--candidate", baseline, "--budget", "60s", "--margin", "0.9", spec});
  INFO(same.errors);
  CHECK(same.status == 0);
  bench.dir.write("mortal/sped", "#!/bin/sh\n[ \"$1\" = --describe ] && exec " + baseline + "/sped --describe\n" +
                                     "[ -e $0.verified ] || { touch $0.verified; exec " + baseline +
                                     "/sped \"$@\"; }\n" + baseline + "/sped \"$@\" & sleep 0.2; kill -9 $! $$\n");
  std::filesystem::permissions(mortal + "/sped", std::filesystem::perms::owner_all);
  const test::Finished crashing = bench.bakeoff(
      {"compare", "--baseline", baseline, "--candidate", mortal, "--budget", "60s", "--margin", "0.9", spec});
  INFO(crashing.errors);
  CHECK(crashing.status == 1);
  CHECK(crashing.errors.find("died") != std::string::npos);
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a server that leaks descriptors is told so, and does not count") {
  const Bench bench;
  bench.add_server(
      "leaky",
      "$SPED \"$@\" & exec bash -c 'while sleep 0.01; do for i in 1 2 3 4 5; do exec {fd}</dev/null; done; done'");
  const test::Finished run = bench.bakeoff({"run", bench.spec(server("leaky") + sped), "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 1);
  const json result = bench.result();
  REQUIRE(result["best"].size() == 1);
  CHECK(result["best"][0]["server"] == "sped");
  REQUIRE(result["cells"][0]["server"] == "leaky");
  CHECK(result["cells"][0]["valid"] == false);
  // On a busy machine there may be other reasons, too.
  CHECK(result["cells"][0]["reasons"].dump().find("the server leaks descriptors: ") != std::string::npos);
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a server that does not heed SIGTERM is killed, with all it started") {
  const Bench bench;
  bench.add_server("deaf", "trap '' TERM; $SPED \"$@\" & wait; while :; do sleep 1; done");
  const test::Finished run = bench.bakeoff({"verify", bench.spec(server("deaf"))});
  INFO(run.errors);
  CHECK(run.status == 0);
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a stranger's result crashes, hangs and colours nothing") {
  const Bench bench;
  const std::string deep = std::string(1'000'000, '[');
  bench.dir.write("deep/result.json", deep);
  CHECK(one_line(bench.bakeoff({"report", "deep"}), 2, "nested deeper than"));
  CHECK(one_line(bench.bakeoff({"compare", "deep", "deep"}), 2, "nested deeper than"));
  bench.dir.write("resumed/spec.toml", read_file(bench.spec(sped)));
  bench.dir.write("resumed/plan.json", deep);
  CHECK(one_line(bench.bakeoff({"run", "--resume", "--out", "resumed"}), 2, "nested deeper than"));
  bench.dir.write("odd/result.json", R"({"schema_version": "\u001b[31mred"})");
  const test::Finished odd = bench.bakeoff({"report", "odd"});
  CHECK(one_line(odd, 2, "not a result of bakeoff: type must be number"));
  CHECK(odd.errors.find("json.exception") == std::string::npos);
  std::filesystem::create_directories(bench.dir.path() / "pipe");
  REQUIRE(::mkfifo((bench.dir.path() / "pipe/result.json").c_str(), 0600) == 0);
  CHECK(one_line(bench.bakeoff({"report", "pipe"}), 2, "it is a pipe that nobody writes to"));
  CHECK(one_line(bench.bakeoff({"report", "/dev/zero"}), 2, "it is a device, not a file"));
  bench.dir.write("zero.toml", "[workload]\nname = \"/dev/zero\"\n[load]\nconnections = 4\n" + sped);
  CHECK(one_line(bench.bakeoff({"check", "zero.toml"}), 2, "is no regular file"));
  const test::Finished escaped = bench.bakeoff({"report", "no\x1b[31msuch"});
  CHECK(one_line(escaped, 2, "no\\x1b[31msuch"));
  CHECK(escaped.errors.find('\x1b') == std::string::npos);
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"bakeoff-load", "http://127.0.0.1:1/", "--wsesslog", "1,1,no\x1b[31msuch"},
           {"bakeoff-load", "http://127.0.0.1:1/", "--arrivals", "\x1b[31m"},
           {"bakeoff-slowdisk", "/nowhere", "--workload", "\x1b[31m"},
           {"bakeoff-ceiling", "--port", "\x1b[31m"},
           {"bakeoff-micro", "\x1b[31m"}}) {
    if (!std::filesystem::exists(std::filesystem::path(BAKEOFF_BIN_DIR) / words[0])) continue;  // one without libfuse
    std::vector<std::string> command = words;
    command[0] = BAKEOFF_BIN_DIR "/" + words[0];
    const test::Finished refused = test::run(command);
    INFO(words[0] << ": " << refused.errors);
    CHECK(refused.status != 0);
    CHECK(refused.errors.find("\\x1b") != std::string::npos);
    CHECK(refused.errors.find('\x1b') == std::string::npos);
  }
}

TEST_CASE("a file that memory does not hold ends in words, not in the name of a class") {
  if (test::sanitized) return;  // they take address space as they like
  const Bench bench;
  std::string many = "[1";
  for (int i = 0; i < 20'000'000; ++i) many += ",1";
  bench.dir.write("large/result.json", many + "]");
  std::vector<std::string> limited = {"/usr/bin/prlimit", "--as=300000000"};
  const std::vector<std::string> command = bench.command({"report", "large"});
  limited.insert(limited.end(), command.begin(), command.end());
  CHECK(one_line(test::run(limited, long_ms), 4, "bakeoff: out of memory\n"));
}

TEST_CASE("a server of others that becomes a daemon is refused, and outlives neither the run nor a killed bakeoff") {
  const Bench bench;
  const std::filesystem::path shipped = BAKEOFF_SOURCE;
  for (const char* part : {"harness/slowdisk", "harness/profile", "workloads"}) {
    std::filesystem::create_directories((bench.dir.path() / "data" / part).parent_path());
    std::filesystem::create_directory_symlink(shipped / part, bench.dir.path() / "data" / part);
  }
  const auto outside = [&](const std::string& name, const std::string& script) {
    bench.dir.write("data/harness/outside/" + name + ".toml",
                    "title = \"a server\"\nprogram = [\"/bin/sh\"]\npackage = \"dash\"\narguments = [\"-c\", '''" +
                        script + "''']\n");
  };
  const std::string place = bench.dir.path().string();
  const std::string serve =
      place + "/bin/sped --address 127.0.0.1 --port @port@ --root @root@ >/dev/null 2>&1 </dev/null";
  outside("daemon", "(setsid " + serve + " &) ; exit 0");
  outside("leader", "setsid " + serve + " & wait");
  const auto verify = [&](const std::string& name) {
    std::vector<std::string> words = bench.command({"verify", bench.spec("[[server]]\noutside = \"" + name + "\"\n")});
    words.insert(words.begin() + 3, {"BAKEOFF_DATA=" + place + "/data", "TMPDIR=" + place});
    return words;
  };
  for (const char* name : {"daemon", "leader"}) {
    INFO(name);
    const test::Finished finished = test::run(verify(name), long_ms);
    INFO(finished.errors);
    CHECK(finished.status == 4);
    CHECK(finished.errors.find("became a daemon (PID ") != std::string::npos);
    CHECK(bench.nothing_left_running());
  }
  // It takes no connections, so that bakeoff waits for it; then bakeoff is killed.
  outside("late",
          "(setsid sh -c ': " + place + "/mark; touch " + place + "/late; while :; do sleep 1; done' &) ; sleep 1000");
  test::Child harness(verify("late"));
  REQUIRE(test::eventually([&] { return std::filesystem::exists(bench.dir.path() / "late"); }, long_ms));
  harness.signal(SIGKILL);
  CHECK(bench.nothing_left_running());
}

TEST_CASE("an interrupted run keeps what was measured and can be resumed") {
  const Bench bench;
  const std::string spec = bench.spec(sped + "name = \"one\"\n" + sped + "name = \"two\"\n", "sweep = 5\nfinal = 2\n");
  const auto begin = [&](int signal) {
    test::Child run(bench.command({"run", spec, "--resume", "--out", bench.out()}));
    const std::size_t before = lines_of(bench.trials());
    REQUIRE(test::eventually([&] { return lines_of(bench.trials()) >= before + 2; }, long_ms));
    run.signal(signal);
    return run.wait(long_ms);
  };
  {
    test::Child run(bench.command({"run", spec, "--out", bench.out()}));
    REQUIRE(test::eventually([&] { return lines_of(bench.trials()) >= 2; }, long_ms));
    run.signal(SIGINT);
    CHECK(run.wait(long_ms) == 130);
    CHECK(run.errors().find("Go on with: bakeoff run --resume --out " + bench.out()) != std::string::npos);
    CHECK(bench.result()["experiment"]["complete"] == false);
    CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(bench.result()));
  }
  CHECK(bench.nothing_left_running());
  CHECK(begin(SIGTERM) == 130);
  CHECK(begin(SIGKILL) == 128 + SIGKILL);
  CHECK(bench.nothing_left_running());
  // A machine that lost power in the middle of a line.
  const std::string so_far = bench.trials();
  bench.dir.write("run/trials.jsonl", so_far + so_far.substr(0, 100));

  const test::Finished rest = bench.bakeoff({"run", "--resume", "--out", bench.out()});
  INFO(rest.errors);
  REQUIRE(rest.status == 0);
  CHECK(bench.trials().starts_with(so_far));
  CHECK(lines_of(bench.trials()) == 14);
  CHECK(bench.result()["experiment"]["complete"] == true);
  CHECK(bench.result()["best"].size() == 2);

  std::string damaged = bench.trials();
  damaged.replace(0, 1, "}");
  bench.dir.write("run/trials.jsonl", damaged);
  CHECK(ends_with_line(bench.bakeoff({"run", "--resume", "--out", bench.out()}), 2, "trials.jsonl:1: damaged: "));
}

TEST_CASE("two harnesses do not share processors") {
  const Bench bench;
  const std::string spec = bench.spec(sped, "sweep = 100\n");
  test::Child run(bench.command({"run", spec, "--out", bench.out()}));
  REQUIRE(test::eventually([&] { return !bench.trials().empty(); }, long_ms));
  CHECK(one_line(bench.bakeoff({"run", spec, "--out", bench.out() + "2"}), 2, "measures on processor"));
  run.signal(SIGKILL);
  CHECK(run.wait(long_ms) == 128 + SIGKILL);
  CHECK(bench.bakeoff({"run", bench.spec(sped, "sweep = 1\nfinal = 0\n"), "--out", bench.out() + "3"}).status == 0);
}

TEST_CASE("two harnesses do not share a folder") {
  const Bench bench;
  const std::string spec = bench.spec(sped, "sweep = 100\n");
  test::Child run(bench.command({"run", spec, "--out", bench.out()}));
  REQUIRE(test::eventually([&] { return !bench.trials().empty(); }, long_ms));
  CHECK(one_line(bench.bakeoff({"run", "--resume", "--out", bench.out()}), 2, "another bakeoff is at work in"));
  run.signal(SIGINT);
  CHECK(run.wait(long_ms) == 130);
}

TEST_CASE("where there is no room, one line says so") {
  const Bench bench;
  bench.dir.write("occupied", "a file");
  CHECK(ends_with_line(bench.bakeoff({"run", bench.spec(sped), "--out", (bench.dir.path() / "occupied/run").string()}),
                       4, "cannot make"));

  // A disk of a chosen size needs a mount, and that a namespace of one's own.
  const std::string small = (bench.dir.path() / "small").string();
  std::filesystem::create_directories(small);
  const auto on_disk_of = [&](const std::string& size, const std::vector<std::string>& words) {
    std::vector<std::string> all = {"/usr/bin/unshare",
                                    "-rm",
                                    "/bin/sh",
                                    "-c",
                                    "mount -t tmpfs -o size=" + size + " tmpfs \"$0\" && exec \"$@\"",
                                    small};
    const auto command = bench.command(words);
    all.insert(all.end(), command.begin(), command.end());
    return test::run(all, long_ms);
  };
  if (!test::is_installed("unshare") ||
      test::run({"/usr/bin/unshare", "-rm", "/bin/sh", "-c", "mount -t tmpfs tmpfs " + small}).status != 0) {
    WARN("no mount namespace here: the full disk is not tried");
    return;
  }
  CHECK(ends_with_line(on_disk_of("4k", {"run", bench.spec(sped), "--out", small + "/run"}), 4,
                       "No space left on device"));
  std::vector<std::string> limited = {"/bin/sh", "-c", "ulimit -f 1 && exec \"$@\"", "sh"};
  const auto run = bench.command({"run", bench.spec(sped), "--out", bench.out()});
  limited.insert(limited.end(), run.begin(), run.end());
  CHECK(ends_with_line(test::run(limited, long_ms), 4, "File too large"));
  std::vector<std::string> crowded = {"BAKEOFF_FILES=" + small, BAKEOFF_BIN_DIR "/bakeoff", "verify",
                                      bench.spec(sped, "", "name = \"single-file\"\nset = { size_bytes = \"8MB\" }")};
  std::vector<std::string> all = {"/usr/bin/unshare",
                                  "-rm",
                                  "/bin/sh",
                                  "-c",
                                  "mount -t tmpfs -o size=1m tmpfs \"$0\" && exec \"$@\"",
                                  small,
                                  "/usr/bin/env",
                                  "BAKEOFF_BIN=" + (bench.dir.path() / "bin").string()};
  all.insert(all.end(), crowded.begin(), crowded.end());
  CHECK(ends_with_line(test::run(all, long_ms), 4, small));
}
