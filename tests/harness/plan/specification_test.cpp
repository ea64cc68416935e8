#include "harness/plan/specification.h"

#include "core/base/errors.h"
#include "harness/plan/architectures.h"
#include "harness/plan/plan.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

const std::string smallest = R"([workload]
name = "specweb99"
[load]
connections = 64
[[server]]
architecture = "sped"
)";

std::string error_of(const std::string& text) {
  try {
    parse_specification(text, "exp.toml");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

bool begins(const std::string& text, const std::string& with) {
  if (text.starts_with(with)) return true;
  UNSCOPED_INFO(text);
  return false;
}

}  // namespace

TEST_CASE("the smallest specification has sound defaults") {
  const Specification spec = parse_specification(smallest, "dir/exp.toml");
  CHECK(spec.name == "exp");
  CHECK(spec.title == "exp");
  CHECK(spec.workload == "specweb99");
  REQUIRE(spec.servers.size() == 1);
  CHECK(spec.servers[0].name == "sped");
  CHECK(spec.servers[0].workers == std::vector<std::string>{"1"});
  CHECK(spec.servers[0].connections == std::vector<std::uint32_t>{64});
  CHECK(spec.final_trials >= 5);
  CHECK(spec.validity.timeouts == 0.10);
  CHECK(spec.sha256.size() == 64);
}

TEST_CASE("an outside server gets of the common options those that it has") {
  const std::string head =
      "[workload]\nname = \"specweb99\"\n[load]\nconnections = 64\n"
      "[options]\ncongestion = \"cubic\"\nbody = [\"sendfile\", \"write\"]\nsendfile = \"off\"\n";
  const Specification spec =
      parse_specification(head + "[[server]]\narchitecture = \"sped\"\n[[server]]\noutside = \"nginx\"\n", "exp.toml");
  CHECK(spec.servers.at(0).options.size() == 3);
  CHECK(spec.servers.at(1).options == OptionAxes{{"congestion", {"cubic"}}, {"sendfile", {"off"}}});
  CHECK(begins(error_of(head + "[[server]]\noutside = \"ngnix\"\n"),
               "exp.toml:10:11: outside: there is no outside server `ngnix`; did you mean `nginx`?"));
}

TEST_CASE("a server's own words win over the common ones") {
  const Specification spec = parse_specification(R"(title = "A title"
[workload]
name = "specweb99"
set = { directories = 4, load = "x", timing = true }
[load]
connections = [16, 64]
warmup = "100ms"
duration = "2s"
[trials]
sweep = 2
seed = 7
[validity]
timeouts = 0.2
[options]
congestion = "cubic"
poller = "epoll"
[[server]]
architecture = ["sped", "amped"]
[[server]]
architecture = "mt"
name = "threads"
workers = ["connections", 4]
connections = 8
options = { poller = ["poll", "select"], defer-accept = true, accept-limit = 1 }
)",
                                                 "exp.toml");
  CHECK(spec.workload_overrides == std::vector<std::string>{"directories=4", "load=x", "timing=true"});
  CHECK(spec.warmup_s == Approx(0.1));
  CHECK(spec.seed == 7);
  CHECK(spec.validity.timeouts == 0.2);
  REQUIRE(spec.servers.size() == 3);
  CHECK(spec.servers[1].name == "amped");
  CHECK(spec.servers[1].connections == std::vector<std::uint32_t>{16, 64});
  const ServerSpec& threads = spec.servers[2];
  CHECK(threads.architecture == "mt");
  CHECK(threads.workers == std::vector<std::string>{"connections", "4"});
  CHECK(threads.connections == std::vector<std::uint32_t>{8});
  CHECK(threads.options == OptionAxes{{"congestion", {"cubic"}},
                                      {"poller", {"poll", "select"}},
                                      {"defer-accept", {"on"}},
                                      {"accept-limit", {"1"}}});
}

TEST_CASE("what is wrong is named with its file, line and column") {
  CHECK(begins(error_of("[workload\nname = 1"), "exp.toml:1:"));
  CHECK(begins(error_of(smallest + "colour = \"red\"\n"), "exp.toml:7:1: unknown key `colour`"));
  CHECK(begins(error_of(smallest + "worker = 1\n"), "exp.toml:7:1: unknown key `worker`; did you mean `workers`?"));
  CHECK(
      begins(error_of(smallest + "workers = 0\n"),
             "exp.toml:7:11: workers: expected numbers from 1 to 65536 or \"connections\" (one a connection), got 0"));
  CHECK(begins(error_of(smallest + "workers = 1000000\n"), "exp.toml:7:11: workers: "));
  CHECK(begins(error_of(smallest + "workers = \"many\"\n"), "exp.toml:7:11: workers: "));
  CHECK(begins(error_of(smallest + "connections = 0\n"), "exp.toml:7:15: connections: "));
  CHECK(begins(error_of(smallest + "name = \"a/b\"\n"), "exp.toml:7:8: name: "));
  CHECK(begins(error_of(smallest + "options = { port = 80 }\n"), "exp.toml:7:20: port: "));
  CHECK(begins(error_of(smallest + "preset = \"flash\"\n"), "exp.toml:7:10: preset: "));
  CHECK(begins(error_of(smallest + "[[server]]\npreset = \"no-such-preset\"\n"),
               "exp.toml:8:10: preset: there is no preset `no-such-preset`"));
  CHECK(begins(error_of(smallest + "[[server]]\narchitecture = \"sped\"\n"),
               "exp.toml:7:1: name: there are two servers called `sped`"));
  CHECK(begins(error_of(smallest + "[[server]]\narchitecture = [\"mt\", \"mp\"]\nname = \"x\"\n"),
               "exp.toml:9:8: name: "));
  CHECK(begins(error_of(smallest + "[[exclude]]\nserver = \"mt\"\n"), "exp.toml:8:10: server: "));
  CHECK(begins(error_of("[workload]\nname = \"specweb99\"\n"),
               "exp.toml:1:1: server: expected at least one table [[server]]"));
  CHECK(begins(error_of("[[server]]\narchitecture = \"sped\"\nconnections = 1\n"), "exp.toml:1:1: workload: "));
  CHECK(begins(error_of("[workload]\nname = \"specweb99\"\n[[server]]\narchitecture = \"sped\"\n"),
               "exp.toml:3:1: connections: "));
}

TEST_CASE("a scale is laid over the experiment") {
  const std::string text = smallest +
                           "workers = [1]\n[scale.night.load]\nduration = \"60s\"\n[scale.night.trials]\nsweep = "
                           "5\n[[scale.night.server]]\narchitecture = \"mt\"\n[scale.typo]\nlaod = 1\n";
  const Specification plain = parse_specification(text, "exp.toml"),
                      night = parse_specification(text, "exp.toml", "night");
  CHECK(plain.duration_s == 2);
  CHECK(plain.scales == std::vector<std::string>{"night", "typo"});
  CHECK(night.duration_s == 60);
  CHECK(night.sweep_trials == 5);
  CHECK(night.servers[0].architecture == "mt");
  CHECK(night.servers[0].connections == std::vector<std::uint32_t>{64});
  CHECK(night.sha256 != plain.sha256);
  CHECK_THROWS_WITH(parse_specification(text, "exp.toml", "week"),
                    "exp.toml: there is no scale `week`; there is `night` or `typo`");
  CHECK_THROWS_WITH(parse_specification(text, "exp.toml", "typo"),
                    Catch::StartsWith("exp.toml:15:1: unknown key `laod`"));
}

TEST_CASE("turns are for closed loops on files in memory, and are long enough") {
  const std::string in_turns = smallest + "[trials]\nturn = \"25ms\"\n";
  CHECK(parse_specification(in_turns, "exp.toml").turn_s == 0.025);
  CHECK(parse_specification(smallest, "exp.toml").turn_s == 0);
  CHECK(begins(error_of(smallest + "[trials]\nturn = \"1ms\"\n"), "exp.toml:8:8: turn: a turn is at least 5 ms long"));
  const std::string refused = "exp.toml:8:8: turn: ";
  std::string at_rates = in_turns;
  at_rates.insert(at_rates.find("[load]\n") + 7, "rates = [100]\n");
  CHECK(begins(error_of(at_rates), "exp.toml:9:8: turn: a schedule cannot stand still"));
  CHECK(begins(error_of(in_turns + "page_cache = \"cold\"\n"), refused + "files stay in memory"));
  CHECK(begins(error_of(in_turns + "[disk]\nmodel = \"constant\"\n"), refused + "a disk's cache"));
  CHECK(
      begins(error_of(in_turns + "[resources]\nclient_hosts = [\"a\"]\n"), refused + "client hosts cannot take turns"));
}

TEST_CASE("limits of latency and of the search for the peak") {
  const Specification spec =
      parse_specification(smallest +
                              "[slo]\np99 = \"20ms\"\nmean = 0.005\n[peak]\nstart = 500\nanswers "
                              "= 50\ntolerance = 0.1\n[trials]\npage_cache = \"cold\"\n",
                          "exp.toml");
  CHECK(spec.slo ==
        std::vector<std::pair<Metric, double>>{{Metric::latency_mean_ms, 5.0}, {Metric::latency_p99_ms, 20.0}});
  CHECK(spec.peak.start == 500);
  CHECK(spec.peak.tolerance == 0.1);
  CHECK(spec.peak.answers == 50);
  CHECK(spec.page_cache == PageCache::cold);
  CHECK(begins(error_of(smallest + "[slo]\np98 = 1\n"), "exp.toml:8:1: unknown key `p98`"));
  CHECK(begins(error_of(smallest + "[peak]\nanswers = 0\n"), "exp.toml:8:11: answers: expected an integer from 1 "));
  CHECK(begins(error_of(smallest + "[peak]\nstart = 100\nmost = 50\n"), "exp.toml:9:8: most: "));
  CHECK(begins(error_of(smallest + "[peak]\ntrials = 3\n"), "exp.toml:8:1: unknown key `trials`"));
  CHECK(begins(error_of(smallest + "[trials]\npage_cache = \"hot\"\n"), "exp.toml:8:14: page_cache: "));
}

TEST_CASE("one figure ranks all cells: the one that is named, or the one that fits the load") {
  const auto ranked_by = [](const std::string& text) { return ranking_metric(parse_specification(text, "exp.toml")); };
  CHECK(ranked_by(smallest) == Metric::relative_to_ceiling);
  CHECK(ranked_by(smallest + "[trials]\nceiling = 0\n") == Metric::throughput_mbps);
  CHECK(
      ranked_by("[workload]\nname = \"single-file\"\n[load]\nconnections = 4\nrates = 500\n[[server]]\narchitecture = "
                "\"sped\"\n") == Metric::server_cpu_us_per_reply);
  CHECK(ranked_by("rank_by = \"latency_ms.p99\"\n" + smallest) == Metric::latency_p99_ms);
  CHECK(begins(error_of("rank_by = \"speed\"\n" + smallest),
               "exp.toml:1:11: rank_by: expected one of throughput_mbps, "));
  CHECK(begins(error_of("rank_by = \"cpu_idle_share\"\n" + smallest), "exp.toml:1:11: rank_by: "));
}

TEST_CASE("the longest warm-up is four times the least, or what the specification says") {
  const auto warm_up = [](const std::string& load) {
    return parse_specification("[workload]\nname = \"single-file\"\n[load]\nconnections = 4\n" + load +
                                   "[[server]]\narchitecture = \"sped\"\n",
                               "exp.toml");
  };
  CHECK(warm_up("").longest_warmup_s == 4 * warm_up("").warmup_s);
  CHECK(warm_up("warmup = \"50ms\"\n").longest_warmup_s == Approx(0.2));
  CHECK(warm_up("warmup = \"50ms\"\nlongest_warmup = \"50ms\"\n").longest_warmup_s == Approx(0.05));
  CHECK(warm_up("warmup = 0\n").longest_warmup_s == 0);
  CHECK_THROWS_WITH(warm_up("warmup = \"50ms\"\nlongest_warmup = \"40ms\"\n"),
                    Catch::Contains("exp.toml:6:18: longest_warmup: "));
}

TEST_CASE("an experiment that is not shipped is refused with what there is") {
  CHECK_THROWS_WITH(load_specification("quik"), "there is no experiment `quik`; did you mean `quick`?");
  CHECK_THROWS_AS(load_specification("./no/such.toml"), UsageError);
}

TEST_CASE("the shipped experiments can be read") {
  const auto experiments = list_experiments();
  CHECK_FALSE(experiments.empty());
  for (const ExperimentInfo& experiment : experiments) {
    CAPTURE(experiment.name);
    CHECK_FALSE(experiment.title.empty());
    Specification spec;
    CHECK_NOTHROW(spec = load_specification(experiment.name));
    for (const std::string& scale : spec.scales) CHECK_NOTHROW(load_specification(experiment.name, scale));
  }
}

TEST_CASE("a network is the run's own unless it is said otherwise") {
  const Specification plain = parse_specification(smallest, "exp.toml");
  CHECK_FALSE(plain.network.own);
  CHECK_FALSE(plain.network.mtu);
  CHECK(plain.network.offloads);
  const Specification small = parse_specification(smallest + "[network]\nmtu = 1500\noffloads = false\n", "exp.toml");
  CHECK(small.network.mtu == 1500u);
  CHECK_FALSE(small.network.offloads);
  CHECK(parse_specification(smallest + "[network]\nown = false\n", "exp.toml").network.own == false);
  for (const std::string mtu : {"67", "65537"}) {
    CHECK(begins(error_of(smallest + "[network]\nmtu = " + mtu + "\n"),
                 "exp.toml:8:7: mtu: expected an integer from 68 to 65536"));
  }
  CHECK(begins(error_of(smallest + "[network]\nown = false\nmtu = 1500\n"),
               "exp.toml:9:7: mtu: it applies to a network of "));
  CHECK(begins(error_of(smallest + "[network]\nmtus = 1500\n"), "exp.toml:8:1: unknown key `mtus`"));
}

TEST_CASE("a disk is one that is made up, or the machine's own with bounds") {
  CHECK_FALSE(parse_specification(smallest, "exp.toml").disk);
  const Specification slow = parse_specification(
      smallest + "[disk]\nmodel = \"constant\"\nset = { seek = \"2ms\", arms = 4 }\ncache = \"1MB\"\n", "exp.toml");
  REQUIRE(slow.disk);
  CHECK(has_slow_disk(slow));
  CHECK(slow.disk->model == "constant");
  CHECK(slow.disk->model_overrides.size() == 2);
  CHECK(slow.disk->cache_bytes == 1'000'000);
  const Specification own =
      parse_specification(smallest + "[disk]\nmemory = \"200MiB\"\nreads_per_s = 500\n", "exp.toml");
  CHECK_FALSE(has_slow_disk(own));
  CHECK(own.disk->memory_bytes == 200u << 20);
  CHECK(own.disk->reads_per_s == 500);
  CHECK(begins(error_of(smallest + "[disk]\n"), "exp.toml:7:1: model: expected it, or `memory`"));
  CHECK(begins(error_of(smallest + "[disk]\ncache = \"1MB\"\n"), "exp.toml:8:9: cache: it applies to a slow disk"));
  CHECK(begins(error_of(smallest + "[disk]\nmodel = \"ssd\"\nreads_per_s = 5\n"),
               "exp.toml:9:15: reads_per_s: it applies to the machine's own disk"));
  CHECK(begins(error_of(smallest + "[disk]\nmodel = \"ssd\"\ncash = 5\n"), "exp.toml:9:1: unknown key `cash`"));
}

TEST_CASE("paths are relative to the specification, and all are presets' and servers' of any place") {
  const test::TempDir dir;
  dir.write("w.toml", "kind = \"single-file\"\nsize_bytes = 100\n");
  dir.write(
      "p.toml",
      "architecture = \"symped\"\npaper = \"none\"\nsection = \"1\"\ndescription = \"d\"\n[options]\nworkers = 3\n");
  dir.write("o.toml", "title = \"t\"\nprogram = \"/bin/true\"\npackage = \"p\"\narguments = [\"@port@\"]\n");
  dir.write("exp.toml",
            "[workload]\nname = \"./w.toml\"\n[load]\nconnections = 4\n[[server]]\npreset = "
            "\"p.toml\"\n[[server]]\noutside = "
            "\"./o.toml\"\n");
  const Specification spec = load_specification((dir.path() / "exp.toml").string());
  CHECK(spec.workload == dir.path() / "./w.toml");
  CHECK(workload_name(spec) == "w");
  REQUIRE(spec.servers.size() == 2);
  CHECK(spec.server("p").architecture == "symped");
  CHECK(spec.server("p").workers == std::vector<std::string>{"3"});
  CHECK(spec.server("o").definition == dir.path() / "./o.toml");
  CHECK(spec.inputs.size() == 3);
  // Copies beside it stand for what it names.
  dir.write("inputs.json", R"({"inputs": [{"kind": "workload", "written": "./w.toml", "copy": "copy.toml"}]})");
  dir.write("copy.toml", "kind = \"single-file\"\n");
  CHECK(load_specification((dir.path() / "exp.toml").string()).workload == dir.path() / "copy.toml");
  dir.write("inputs.json", "{");
  CHECK_THROWS_AS(load_specification((dir.path() / "exp.toml").string()), UsageError);
}

TEST_CASE("architecture = \"all\" is every one that no other table names, with workers that suit it") {
  const Specification spec = parse_specification(
      "[workload]\nname = \"single-file\"\n[load]\nconnections = 4\n[[server]]\narchitecture = \"symped\"\nworkers = "
      "[1, 2]\n[[server]]\narchitecture = \"all\"\n",
      "exp.toml");
  CHECK(spec.servers.size() == architecture_entries().size());
  CHECK(spec.server("symped").workers.size() == 2);
  CHECK(spec.server("mt").workers == std::vector<std::string>{"connections"});
  CHECK(spec.server("sped").workers == std::vector<std::string>{"1"});
}

TEST_CASE("a log's own times are a schedule: such servers are ranked by CPU time") {
  const test::TempDir dir;
  dir.write("log", "h - - [10/Oct/2025:13:55:10 +0000] \"GET /a HTTP/1.1\" 200 5\n");
  dir.write("exp.toml",
            "[workload]\nname = \"trace\"\nset = { log = \"log\", timing = true }\n[load]\nconnections = "
            "4\n[[server]]\narchitecture = \"sped\"\n");
  const Specification spec = load_specification((dir.path() / "exp.toml").string());
  CHECK(spec.keeps_log_times);
  CHECK(ranking_metric(spec) == Metric::server_cpu_us_per_reply);
  CHECK(spec.workload_overrides == std::vector<std::string>{"log=" + (dir.path() / "log").string(), "timing=true"});
  CHECK(plan_cells(spec, "trace").front().load_model == "open");
}
