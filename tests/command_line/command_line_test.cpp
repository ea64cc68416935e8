// The bakeoff command from outside, on a workload of one small file and servers that behave and misbehave.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/catch.h"
#include "tests/results/result_schema.h"
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

std::size_t lines_of(const std::string& text) { return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')); }

// A directory with the real programs, servers made of a few lines of shell, and everything a run makes.
class Bench {
 public:
  Bench() {
    const std::filesystem::path real = BAKEOFF_BIN_DIR;
    std::filesystem::create_directories(dir.path() / "bin");
    for (const char* name : {"sped", "bakeoff-load", "bakeoff-ceiling", "bakeoff-micro"}) std::filesystem::create_symlink(real / name, dir.path() / "bin" / name);
  }

  // A server that is sped but for what `script` does first; $SPED is the real one, $DIR a directory of its own.
  void add_server(const std::string& name, const std::string& script) const {
    dir.write("bin/" + name, "#!/bin/sh\n[ \"$1\" = --describe ] && echo '{\"architecture\":\"" + name +
                                 "\",\"workers\":{\"min\":1,\"max\":64},\"options\":{}}' && exit 0\nDIR=" + dir.path().string() + "\nSPED=$DIR/bin/sped\n" + script +
                                 "\nexec $SPED \"$@\"\n");
    std::filesystem::permissions(dir.path() / "bin" / name, std::filesystem::perms::owner_all);
  }

  // Trials of 300 ms: shorter ones bring no reply on a machine with twenty others to serve; `servers` is TOML.
  std::string spec(const std::string& servers, const std::string& trials = "sweep = 1\nfinal = 2\n", const std::string& workload = "name = \"single-file\"") const {
    dir.write("exp.toml", "title = \"a test\"\n[workload]\n" + workload +
                              "\n[load]\nconnections = 4\nwarmup = 0\nduration = \"300ms\"\n[trials]\nceiling = \"50ms\"\nrepeats = 0\n" + trials +
                              "[validity]\nclient_busy = 1\nlittle = 1\n" + servers);
    return (dir.path() / "exp.toml").string();
  }

  std::vector<std::string> command(const std::vector<std::string>& words) const {
    std::vector<std::string> all = {"/usr/bin/env", "-C", dir.path().string(), "BAKEOFF_BIN=" + (dir.path() / "bin").string(), "BAKEOFF_FILES=" + (dir.path() / "files").string(),
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
  const bool fine = finished.status == status && lines_of(finished.errors) == 1 && finished.errors.find(part) != std::string::npos && finished.output.empty();
  if (!fine) UNSCOPED_INFO("status " << finished.status << "\n" << finished.output << finished.errors << "expected: " << part);
  return fine;
}

// The last line on standard error has that part.
bool ends_with_line(const test::Finished& finished, int status, const std::string& part) {
  const std::size_t last = finished.errors.rfind('\n', finished.errors.size() - 2);
  const bool fine = finished.status == status && finished.errors.substr(last == std::string::npos ? 0 : last + 1).find(part) != std::string::npos;
  if (!fine) UNSCOPED_INFO("status " << finished.status << "\n" << finished.errors << "expected: " << part);
  return fine;
}

}  // namespace

TEST_CASE("help is given, and what is not understood is refused") {
  const Bench bench;
  CHECK(bench.bakeoff({"--help"}).status == 0);
  for (const char* command : {"run", "tune", "plan", "check", "compare", "list", "micro", "serve", "verify", "report", "bundle", "doctor", "completion", "man"}) {
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
  CHECK(one_line(bench.bakeoff({"report", "nowhere"}), 2, "cannot read nowhere; name a run's folder or its result.json"));
  CHECK(one_line(bench.bakeoff({"serve", "spde", "--root", "."}), 2, "there is no architecture `spde`; did you mean `sped`?"));
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
    CHECK(trial.at("valid") == true);
    const json& load = trial.at("evidence").at("load");
    CHECK(load.at("duration_s") == Approx(0.3).epsilon(0.1));
    CHECK(load.at("replies_per_s").get<double>() == Approx(load.at("replies").get<double>() / load.at("duration_s").get<double>()));
    days.insert(trial.at("started").get<std::string>().substr(0, 10));
  }
  CHECK(trials == 3);
  CHECK(days.size() >= 2);  // the clock did jump
}

TEST_CASE("a run on a slow disk says how often and how long it was waited for, and leaves no mount") {
  const Bench bench;
  const std::string spec = bench.spec("[disk]\nmodel = \"constant\"\nset = { seek = \"5ms\" }\ncache = \"100KB\"\n[options]\nbody = \"sendfile\"\n" + sped,
                                      "sweep = 2\nfinal = 0\n", "name = \"data-set\"\nset = { total_bytes = \"1MB\", most_bytes = \"50KB\", mean_transfer_bytes = \"9KB\" }");
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
  CHECK(finished.errors.find("Where the time went.") != std::string::npos);
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

TEST_CASE("a specification is refused with file, line and column before anything is made") {
  const Bench bench;
  const auto refused = [&](const std::string& servers, const std::string& part) { return one_line(bench.bakeoff({"run", bench.spec(servers), "--out", bench.out()}), 2, part); };
  CHECK(refused("[[server]\n", "exp.toml:16:"));
  CHECK(refused(sped + "workerz = 1\n", "exp.toml:18:1: unknown key `workerz`; did you mean `workers`?"));
  CHECK(refused(sped + "workers = 0\n", "exp.toml:18:11: workers: "));
  CHECK(refused(sped + "workers = 1000000\n", "exp.toml:18:11: workers: "));
  CHECK(refused(sped + "workers = 2\n", "exp.toml:16:1: server `sped`: workers: sped takes 1, got 2"));
  CHECK(refused(server("spde"), "there is no architecture `spde`; did you mean `sped`?"));
  CHECK(refused("[[server]]\npreset = \"no-such\"\n", "exp.toml:17:10: preset: there is no preset `no-such`"));
  CHECK(refused(sped + "options = { poller = \"kqueue\" }\n", "exp.toml:16:1: server `sped`: poller: expected epoll, "));
  CHECK(refused(sped + "connections = 50000000\n", "sped/connections=50000000/workers=1: a process may have "));
  CHECK(one_line(bench.bakeoff({"run", bench.spec(sped, "", "name = \"no-such\""), "--out", bench.out()}), 2, "no-such"));
  CHECK_FALSE(std::filesystem::exists(bench.out()));
}

TEST_CASE("a run ends with tables on standard error and a result that the schema accepts") {
  const Bench bench;
  const test::Finished run = bench.bakeoff({"run", bench.spec(sped + "name = \"one\"\n" + sped + "name = \"two\"\nconnections = [2, 4]\noptions = { poller = \"poll\" }\n"), "--out", bench.out()});
  INFO(run.errors);
  REQUIRE(run.status == 0);
  CHECK(run.output.empty());
  CHECK(run.errors.find('\x1b') == std::string::npos);
  CHECK(run.errors.find("Ranking by each server's best cell") != std::string::npos);
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
      REQUIRE(cell["summary"][figure]["n"] == 2);
      CHECK(cell["summary"][figure]["lower"].get<double>() <= cell["summary"][figure]["median"].get<double>());
      CHECK(cell["summary"][figure]["upper"].get<double>() >= cell["summary"][figure]["median"].get<double>());
      CHECK(cell["summary"][figure]["median"].get<double>() > 0);
    }
  }
  for (const char* file : {"spec.toml", "plan.json", "environment.json", "tables.txt"}) CHECK(std::filesystem::exists(bench.dir.path() / "run" / file));
  CHECK(read_file(bench.dir.path() / "run/spec.toml") == read_file(bench.dir.path() / "exp.toml"));
  CHECK(bench.nothing_left_running());

  const test::Finished report = bench.bakeoff({"report", bench.out()});
  CHECK(report.status == 0);
  CHECK(report.output == read_file(bench.dir.path() / "run/tables.txt"));
  CHECK(one_line(bench.bakeoff({"run", (bench.dir.path() / "exp.toml").string(), "--out", bench.out()}), 2, "holds a run already; go on with it with --resume"));
  const std::string before = bench.trials();
  CHECK(bench.bakeoff({"run", "--resume", "--out", bench.out()}).status == 0);
  CHECK(bench.trials() == before);
  CHECK(one_line(bench.bakeoff({"run", "quick", "--resume", "--out", bench.out()}), 2, "holds a run of another specification"));
  bench.dir.write("run/result.json", read_file(bench.dir.path() / "run/result.json").substr(0, 1000));
  CHECK(one_line(bench.bakeoff({"report", bench.out()}), 2, "cut in half"));
}

TEST_CASE("servers are told to make replies up where the workload asks for such") {
  const Bench bench;
  const std::string workload = "name = \"dynamic\"\nset = { directories = 1, burn_share = 0.2, wait_share = 0.2, wait = \"2ms\" }";
  const test::Finished run = bench.bakeoff({"run", bench.spec(sped, "sweep = 1\nfinal = 1\n", workload), "--out", bench.out()});
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
      const auto made = std::find_if(classes.begin(), classes.end(), [&](const json& one) { return one.at("name") == name; });
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
  CHECK(plan.output == "sped/connections=2/workers=1/poller=poll\nsped/connections=4/workers=1/poller=poll\nsped/connections=2/workers=1/poller=epoll\n"
                       "sped/connections=4/workers=1/poller=epoll\n");
  CHECK(plan.errors.starts_with("4 cells, 1 trials each, then 2 of each server's best: 6 trials"));
  CHECK(one_line(bench.bakeoff({"check", spec}), 0, "exp: fine"));
  CHECK(one_line(bench.bakeoff({"check", bench.spec(sped + "workers = 2\n")}), 2, "workers: sped takes 1, got 2"));
  CHECK_FALSE(std::filesystem::exists(bench.dir.path() / "files"));
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

TEST_CASE("compare finds a build slower that is, and not one that is the same") {
  const Bench bench;
  const std::string spec = bench.spec(sped);
  const std::string baseline = (bench.dir.path() / "bin").string(), slow = (bench.dir.path() / "slow").string();
  const test::Finished same = bench.bakeoff({"compare", "--baseline", baseline, "--candidate", baseline, "--pairs", "6", "--threshold", "0.9", "--json", "-", spec});
  INFO(same.errors);
  CHECK(same.status == 0);
  CHECK(json::parse(same.output)["verdict"] == "fine");
  // Most of its processor goes to others, be the machine idle or busy.
  bench.dir.write("slow/sped", "#!/bin/sh\n[ \"$1\" = --describe ] && exec " + baseline + "/sped --describe\nwhile :; do :; done &\nwhile :; do :; done &\nexec nice -n 5 " + baseline + "/sped \"$@\"\n");
  std::filesystem::permissions(slow + "/sped", std::filesystem::perms::owner_all);
  const test::Finished slower = bench.bakeoff({"compare", "--baseline", baseline, "--candidate", slow, "--pairs", "6", "--threshold", "0.1", "--strict", spec});
  INFO(slower.errors);
  CHECK(slower.status == 1);
  CHECK(slower.errors.find("regressed: candidate/baseline 0.") != std::string::npos);
  CHECK(one_line(bench.bakeoff({"compare", "--baseline", baseline, "--candidate", slow, "--pairs", "5", spec}), 2, "no verdict is possible below 6"));
  CHECK(one_line(bench.bakeoff({"compare", "--baseline", "nowhere", "--candidate", slow, spec}), 2, "nowhere is no directory"));
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a run is exported, bundled, and compared with itself, but not with one of another specification") {
  const Bench bench;
  REQUIRE(bench.bakeoff({"run", bench.spec(sped, "sweep = 1\nfinal = 4\n"), "--out", bench.out()}).status == 0);
  const test::Finished csv = bench.bakeoff({"report", bench.out(), "--format", "csv"});
  CHECK(csv.status == 0);
  CHECK(lines_of(csv.output) == 1 + lines_of(bench.trials()));
  std::size_t counted = 0;  // a busy machine may leave trials out
  const json measured = bench.result();
  for (const json& cell : measured.at("cells")) {
    for (const json& trial : cell.at("trials")) counted += trial.at("counted").get<bool>() && cell.at("valid").get<bool>() ? 1 : 0;
  }
  CHECK(json::parse(bench.bakeoff({"report", bench.out(), "--format", "google-benchmark"}).output).at("benchmarks").size() == counted);
  CHECK(bench.bakeoff({"report", bench.out(), "--format", "xls"}).status == 2);

  CHECK(bench.bakeoff({"bundle", bench.out()}).status == 0);
  const std::string archive = bench.out() + ".tar.gz", first = read_file(archive);
  CHECK(bench.bakeoff({"bundle", bench.out()}).status == 0);
  CHECK(read_file(archive) == first);
  const test::Finished sums = test::run({"/bin/sh", "-c", "cd '" + bench.dir.path().string() + "' && tar xzf run.tar.gz && cd exp && sha256sum -c SHA256SUMS"}, long_ms);
  INFO(sums.output << sums.errors);
  CHECK(sums.status == 0);

  const test::Finished same = bench.bakeoff({"compare", bench.out(), bench.out(), "--threshold", "0.99"});
  INFO(same.errors);
  CHECK(same.status == 0);
  CHECK(same.errors.find("stored results, measured at different times: weaker") != std::string::npos);
  CHECK(same.errors.find(counted >= 4 ? "fine: candidate/baseline 1.000" : "with at least 4 trials that count") != std::string::npos);
  json other = bench.result();
  other["experiment"]["spec_sha256"] = std::string(64, '0');
  bench.dir.write("other.json", other.dump());
  CHECK(one_line(bench.bakeoff({"compare", bench.out(), "other.json"}), 2, "--force compares them nevertheless"));
  CHECK(bench.bakeoff({"compare", bench.out(), "other.json", "--force", "--threshold", "0.99"}).status == 0);
  CHECK(one_line(bench.bakeoff({"compare", bench.out()}), 2, "the folders of two runs"));
  CHECK(one_line(bench.bakeoff({"compare", bench.out(), bench.out(), "--by", "speed"}), 2, "expected one of throughput_mbps, "));
}

TEST_CASE("bakeoff describes itself to the shell and to man") {
  const Bench bench;
  const test::Finished completion = bench.bakeoff({"completion", "bash"});
  CHECK(completion.status == 0);
  bench.dir.write("completion.bash", completion.output + "COMP_WORDS=(bakeoff compare --str) COMP_CWORD=2\n_bakeoff\necho \"${COMPREPLY[@]}\"\n");
  CHECK(test::run({"/bin/bash", (bench.dir.path() / "completion.bash").string()}, long_ms).output == "--strict\n");
  CHECK(one_line(bench.bakeoff({"completion", "tcsh"}), 2, "there is completion for bash only"));
  CHECK(bench.bakeoff({"man"}).output.find(".TH BAKEOFF 1") == 0);
}

TEST_CASE("the doctor names what it found and what mends it") {
  const Bench bench;
  const test::Finished doctor = bench.bakeoff({"doctor", "--fast"});
  INFO(doctor.errors);
  CHECK((doctor.status == 0 || doctor.status == 1));
  CHECK(doctor.errors.find("descriptors") != std::string::npos);
  CHECK((doctor.status == 1) == (doctor.errors.find("SPOILS") != std::string::npos));
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
  CHECK(one_line(bench.bakeoff({"serve", "sped", "--root", bench.dir.path().string(), "--no-such-option", "1"}), 2, "no-such-option"));
}

TEST_CASE("micro-experiments need no network, and end with a table and a result like any other") {
  const Bench bench;
  const test::Finished list = bench.bakeoff({"list", "micro"});
  CHECK(list.status == 0);
  for (const char* name : {"seda-threads", "seda-events", "hotos-threads", "boss-worker"}) CHECK(list.output.find(name) != std::string::npos);

  const test::Finished run = bench.bakeoff({"micro", "boss-worker", "--trials", "2", "--out", bench.out()});
  CHECK(run.status == 0);
  CHECK(run.errors.find("Boss-worker: 360 ms in all, 196 ms an order.") != std::string::npos);
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
  CHECK(bench.bakeoff({"micro", some, "--trials", "1", "--duration", "20ms", "--out", bench.out() + "-2"}).status == 0);

  CHECK(one_line(bench.bakeoff({"micro", "boss-workers"}), 2, "did you mean `boss-worker`?"));
  CHECK(one_line(bench.bakeoff({"micro", "boss-worker", "--duration", "1s"}), 2, "--duration means nothing to boss-worker"));
  CHECK(one_line(bench.bakeoff({"micro", "seda-events", "--duration", "5"}), 2, "is not a time"));
  CHECK(one_line(bench.bakeoff({"micro", "seda-events", "--trials", "0"}), 2, "--trials must be from 1 to 100"));
  CHECK(one_line(bench.bakeoff({"micro"}), 2, "expected a micro-experiment's name"));
  CHECK(one_line(bench.bakeoff({"micro", "boss-worker", "--out", bench.out()}), 2, "holds a run already"));
}

TEST_CASE("a server that dies at its start ends the run with its own words") {
  const Bench bench;
  bench.add_server("doomed", "echo 'doomed: the stars are wrong; wait' >&2; exit 4");
  CHECK(ends_with_line(bench.bakeoff({"run", bench.spec(sped + server("doomed")), "--out", bench.out()}), 4, "bakeoff: doomed did not start: doomed: the stars are wrong; wait"));
  bench.add_server("silent", "exit 7");
  CHECK(ends_with_line(bench.bakeoff({"verify", bench.spec(server("silent"))}), 4, "silent did not start: it ended with exit status 7 and said nothing"));
  bench.add_server("babbler", "echo hello; exec sleep 1000");
  CHECK(ends_with_line(bench.bakeoff({"verify", bench.spec(server("babbler"))}), 4, "babbler did not start: expected its ready line, got hello"));
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a server with wrong bytes is not measured") {
  const Bench bench;
  bench.add_server("liar", "cp -r \"$2\" $DIR/forged; for f in $(find $DIR/forged -type f); do tr 'a-m' 'n-z' <$f >$DIR/x; tr '\\000-\\200' '\\001-\\201' <$f >$f.new; mv $f.new $f; done\n"
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
  bench.add_server("mortal", "if [ -e $DIR/verified ]; then $SPED \"$@\" & sleep 0.05; echo 'mortal: out of luck' >&2; kill -9 $! $$; fi; touch $DIR/verified");
  const test::Finished run = bench.bakeoff({"run", bench.spec(server("mortal") + sped), "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 1);
  const json result = bench.result();
  CHECK(test::ResultSchema(BAKEOFF_SCHEMA).accepts(result));
  REQUIRE(result["best"].size() == 1);
  CHECK(result["best"][0]["server"] == "sped");
  REQUIRE(result["cells"][0]["server"] == "mortal");
  CHECK(result["cells"][0]["valid"] == false);
  CHECK(result["cells"][0]["reasons"][0] == "the server died: killed by signal 9 (Killed); its last words: mortal: out of luck");
  CHECK(run.errors.find("not ranked: mortal, no valid cell (the server died") != std::string::npos);
  CHECK(bench.nothing_left_running());
}

TEST_CASE("a server that leaks descriptors is told so, and does not count") {
  const Bench bench;
  bench.add_server("leaky", "$SPED \"$@\" & exec bash -c 'while sleep 0.01; do for i in 1 2 3 4 5; do exec {fd}</dev/null; done; done'");
  const test::Finished run = bench.bakeoff({"run", bench.spec(server("leaky") + sped), "--out", bench.out()});
  INFO(run.errors);
  CHECK(run.status == 1);
  const json result = bench.result();
  REQUIRE(result["best"].size() == 1);
  CHECK(result["best"][0]["server"] == "sped");
  REQUIRE(result["cells"][0]["server"] == "leaky");
  CHECK(result["cells"][0]["valid"] == false);
  CHECK(result["cells"][0]["reasons"][0].get<std::string>().starts_with("the server leaks descriptors: "));
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
  CHECK(ends_with_line(bench.bakeoff({"run", bench.spec(sped), "--out", (bench.dir.path() / "occupied/run").string()}), 4, "cannot make"));

  // A disk of a chosen size needs a mount, and that a namespace of one's own.
  const std::string small = (bench.dir.path() / "small").string();
  std::filesystem::create_directories(small);
  const auto on_disk_of = [&](const std::string& size, const std::vector<std::string>& words) {
    std::vector<std::string> all = {"/usr/bin/unshare", "-rm", "/bin/sh", "-c", "mount -t tmpfs -o size=" + size + " tmpfs \"$0\" && exec \"$@\"", small};
    const auto command = bench.command(words);
    all.insert(all.end(), command.begin(), command.end());
    return test::run(all, long_ms);
  };
  if (!test::is_installed("unshare") || test::run({"/usr/bin/unshare", "-rm", "/bin/sh", "-c", "mount -t tmpfs tmpfs " + small}).status != 0) {
    WARN("no mount namespace here: the full disk is not tried");
    return;
  }
  CHECK(ends_with_line(on_disk_of("4k", {"run", bench.spec(sped), "--out", small + "/run"}), 4, "No space left on device"));
  std::vector<std::string> crowded = {"BAKEOFF_FILES=" + small, BAKEOFF_BIN_DIR "/bakeoff", "verify", bench.spec(sped, "", "name = \"single-file\"\nset = { size_bytes = \"8MB\" }")};
  std::vector<std::string> all = {"/usr/bin/unshare", "-rm", "/bin/sh", "-c", "mount -t tmpfs -o size=1m tmpfs \"$0\" && exec \"$@\"", small, "/usr/bin/env",
                                  "BAKEOFF_BIN=" + (bench.dir.path() / "bin").string()};
  all.insert(all.end(), crowded.begin(), crowded.end());
  CHECK(ends_with_line(test::run(all, long_ms), 4, small));
}
