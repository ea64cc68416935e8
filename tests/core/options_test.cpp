#include "core/options.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;
using Words = std::vector<std::string>;

namespace {

enum class Colour { red, green };
struct OwnOptions {
  Colour colour = Colour::red;
  int bound = 7;
  std::int64_t patience_ms = 2000;
  bool eager = false;
} own;

const Architecture loop = {
    .name = "loop",
    .paper = "a paper",
    .workers_are = "one loop",
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking, Sending::blocking},
    .residencies = {Residency::none, Residency::nowait, Residency::mincore, Residency::cachestat},
};
const Architecture helped = {
    .name = "helped",
    .paper = "a paper",
    .workers_are = "helpers",
    .workers_most = 100,
    .workers_default = 16,
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking},
    .residencies = {Residency::nowait, Residency::mincore, Residency::cachestat, Residency::none},
    .own_options = {choice_option("colour", "of the helpers", own.colour,
                                  {{Colour::red, "red"}, {Colour::green, "green"}}),
                    number_option("bound", "of their number", own.bound, 1, 10),
                    duration_option("patience", "of each", own.patience_ms),
                    switch_option("eager", "whether they are", own.eager)},
    .check =
        [](const Options& options) {
          if (own.bound == 9 && options.workers == 9) throw UsageError("--bound and --workers cannot both be 9");
        },
};
const Architecture pool = {
    .name = "pool",
    .paper = "a paper",
    .workers_are = "threads",
    .workers_most = 1000,
    .workers_default = 8,
    .waiting = Waiting::in_calls,
    .bodies = {BodyKind::sendfile, BodyKind::buffer},
    .sends = {Sending::blocking},
    .can_refuse = false,
    .connections_are_workers = true,
};
const Architecture threaded = {
    .name = "threaded",
    .paper = "a paper",
    .workers_are = "kernel threads",
    .workers_most = 100,
    .workers_default = 4,
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking, Sending::blocking},
    .residencies = {Residency::always_offload, Residency::none},
    .accept_priorities = {AcceptPriority::ready, AcceptPriority::accepting},
    .can_refuse = false,
    .connections_are_threads = true,
};
const Architecture several = {
    .name = "several",
    .paper = "a paper",
    .workers_are = "processes",
    .workers_most = 100,
    .workers_default = 4,
    .pollers = {EventMechanism::select},
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking},
    .descriptors_are_per_worker = true,
    .can_listen_apart = true,
};

std::optional<Options> parse(const Words& words, const Architecture& architecture) {
  std::vector<const char*> arguments = {"server"};
  for (const std::string& word : words) arguments.push_back(word.c_str());
  return parse_options(static_cast<int>(arguments.size()), arguments.data(), architecture);
}

Options accepted(Words words, const Architecture& architecture = loop) {
  words.insert(words.begin(), "--root=/srv");
  const std::optional<Options> options = parse(words, architecture);
  REQUIRE(options);
  return *options;
}

// What is said when the words are refused; empty when they are not.
std::string refusal(const Words& words, const Architecture& architecture) {
  try {
    parse(words, architecture);
    return {};
  } catch (const UsageError& error) {
    return error.what();
  }
}

// Stands in for stdout while a test looks at what is printed.
class Printed {
 public:
  Printed() : before_(dup(STDOUT_FILENO)), file_(std::tmpfile()) {
    std::fflush(stdout);
    REQUIRE(before_ >= 0);
    REQUIRE(file_ != nullptr);
    REQUIRE(dup2(fileno(file_), STDOUT_FILENO) == STDOUT_FILENO);
  }
  ~Printed() {
    dup2(before_, STDOUT_FILENO);
    close(before_);
    std::fclose(file_);
  }
  Printed(const Printed&) = delete;
  Printed& operator=(const Printed&) = delete;
  std::string text() const {
    std::string all(static_cast<std::size_t>(lseek(fileno(file_), 0, SEEK_END)), '\0');
    REQUIRE(pread(fileno(file_), all.data(), all.size(), 0) == static_cast<ssize_t>(all.size()));
    return all;
  }

 private:
  int before_;
  std::FILE* file_;
};

}  // namespace

TEST_CASE("what is not given is as documented, or as the architecture says first") {
  const Options options = accepted({});
  CHECK(options.root == "/srv");
  CHECK(options.address == "127.0.0.1");
  CHECK(options.port == 8080);
  CHECK(options.workers == 1);
  CHECK(options.poller == EventMechanism::epoll);
  CHECK(options.body == BodyKind::automatic);
  CHECK(options.send == Sending::nonblocking);
  CHECK(options.residency == Residency::none);
  CHECK(options.cache_valid_ms == 60'000);
  CHECK(accepted({}, several).poller == EventMechanism::select);
  CHECK(accepted({}, several).workers == 4);
  CHECK(accepted({}, pool).body == BodyKind::sendfile);
  CHECK(accepted({}, pool).send == Sending::blocking);
  CHECK(accepted({}, threaded).residency == Residency::always_offload);
}

TEST_CASE("every option is read into its own place") {
  const Options options = accepted({"--address=::1",
                                    "--port",
                                    "0",
                                    "--connections=100",
                                    "--poller=poll",
                                    "--body=sendfile",
                                    "--auto-limit=4K",
                                    "--send=blocking",
                                    "--accept-limit=7",
                                    "--admission=refuse",
                                    "--cache-entries=50",
                                    "--cache-bytes=1M",
                                    "--cache-paths=off",
                                    "--cache-heads=off",
                                    "--cache-files=off",
                                    "--cache-valid=0s",
                                    "--residency=nowait",
                                    "--request-timeout=1s",
                                    "--idle-timeout=2s",
                                    "--send-timeout=3s",
                                    "--backlog=9",
                                    "--congestion=reno",
                                    "--send-buffer=16K",
                                    "--defer-accept=on"});
  CHECK(options.address == "::1");
  CHECK(options.port == 0);
  CHECK(options.connections == 100);
  CHECK(options.poller == EventMechanism::poll);
  CHECK(options.body == BodyKind::sendfile);
  CHECK(options.auto_limit_bytes == 4096);
  CHECK(options.send == Sending::blocking);
  CHECK(options.accept_limit == 7);
  CHECK(options.admission == Admission::refuse);
  CHECK(options.cache_entries == 50);
  CHECK(options.cache_bytes == 1'048'576);
  CHECK_FALSE(options.cache_paths);
  CHECK_FALSE(options.cache_heads);
  CHECK_FALSE(options.cache_files);
  CHECK(options.cache_valid_ms == 0);
  CHECK(options.residency == Residency::nowait);
  CHECK(options.request_timeout_ms == 1000);
  CHECK(options.idle_timeout_ms == 2000);
  CHECK(options.send_timeout_ms == 3000);
  CHECK(options.backlog == 9);
  CHECK(options.congestion == "reno");
  CHECK(options.send_buffer_bytes == 16'384);
  CHECK(options.defer_accept);
  CHECK(accepted({"--workers=7"}, helped).workers == 7);
}

TEST_CASE("a word of an earlier version is answered by what it is called now") {
  CHECK(refusal({"--root=/srv", "--favour=ready"}, threaded) == "--favour is now called --accept-priority");
  CHECK(refusal({"--root=/srv", "--favour", "ready"}, threaded) == "--favour is now called --accept-priority");
  CHECK(refusal({"--root=/srv", "--residency=always-absent"}, threaded) ==
        "--residency: always-absent is now called always-offload");
}

TEST_CASE("every refusal is one sentence that names what is wrong") {
  struct Case {
    const Architecture& architecture;
    Words words;
    std::string said;  // a part of it that only the right cause has
  };
  const std::vector<Case> cases = {
      {loop, {"--port=1"}, "--root is missing"},
      {loop, {"--root=/srv", "extra"}, "positional"},
      {loop, {"--root=/srv", "--por=1"}, "unrecognised option '--por=1'"},  // no guessing
      {loop, {"--root=/srv", "--port=1", "--port=2"}, "more than once"},
      {loop, {"--root=/srv", "--port"}, "required argument"},
      {loop, {"--root=/srv", "--port=65536"}, "--port=65536 is not a whole number from 0 to 65535"},
      {loop, {"--root=/srv", "--port=80x"}, "--port=80x is not a whole number"},
      {loop, {"--root=/srv", "--port=-1"}, "--port=-1 is not a whole number"},
      {loop, {"--root=/srv", "--workers=2"}, "--workers=2"},
      {helped, {"--root=/srv", "--workers=101"}, "--workers=101 is not a whole number from 1 to 100"},
      {loop, {"--root=/srv", "--connections=0"}, "--connections=0 is not a whole number from 1"},
      {loop, {"--root=/srv", "--connections=99999999999999999999"}, "--connections=99999999999999999999"},
      {loop, {"--root=/srv", "--poller=kqueue"}, "--poller=kqueue is not for loop; it takes epoll, poll, select"},
      {several, {"--root=/srv", "--poller=epoll"}, "--poller=epoll is not for several; it takes select"},
      {pool, {"--root=/srv", "--poller=epoll"}, "--poller means nothing to pool"},
      {pool, {"--root=/srv", "--body=mmap"}, "--body=mmap is not for pool; it takes sendfile, buffer"},
      {loop, {"--root=/srv", "--colour=red"}, "unrecognised option '--colour=red'"},  // another's own
      {helped, {"--root=/srv", "--colour=blue"}, "--colour=blue is not for helped; it takes red, green"},
      {helped, {"--root=/srv", "--bound=11"}, "--bound=11 is not a whole number from 1 to 10"},
      {helped, {"--root=/srv", "--patience=2"}, "--patience: \"2\" is not a time"},
      {helped, {"--root=/srv", "--eager=yes"}, "--eager=yes is not for helped; it takes off, on"},
      {helped, {"--root=/srv", "--bound=9", "--workers=9"}, "--bound and --workers cannot both be 9"},
      {pool, {"--root=/srv", "--accept-limit=1"}, "--accept-limit means nothing to pool"},
      {loop, {"--root=/srv", "--cache-heads=yes"}, "--cache-heads=yes is not for loop; it takes on, off"},
      {loop, {"--root=/srv", "--cache-bytes=1Q"}, "\"1Q\" is not a size"},
      {loop, {"--root=/srv", "--cache-valid=1"}, "\"1\" is not a time"},
      {loop, {"--root=/srv", "--idle-timeout=0s"}, "--idle-timeout=0s must be more than 0"},
      {loop, {"--root=/srv", "--request-timeout=0.5ms"}, "--request-timeout=0.5ms must be more than 0"},
      {loop, {"--root=/srv", "--send-timeout=0s"}, "--send-timeout=0s must be more than 0"},
      {loop, {"--root=/srv", "--send-buffer=2G"}, "--send-buffer=2G is more than 1 GiB"},
      {loop, {"--root=/srv", "--backlog=0"}, "--backlog=0 is not a whole number from 1"},
      {loop,
       {"--root=/srv", "--admission=maybe"},
       "--admission=maybe is not for loop; it takes wait, refuse, close-idle"},
      {threaded, {"--root=/srv", "--admission=refuse"}, "--admission=refuse means nothing here"},
      {pool, {"--root=/srv", "--admission=refuse"}, "--admission=refuse means nothing here"},
      {several, {"--root=/srv", "--residency=nowait"}, "--residency=nowait is not for several; it takes none"},
      {loop, {"--root=/srv", "--residency=mincore"}, "--residency=mincore looks at mapped files"},
      {loop, {"--root=/srv", "--residency=nowait", "--body=mmap"}, "--residency=nowait looks at open files"},
      {pool, {"--root=/srv", "--workers=4", "--connections=5"}, "more than pool holds with --workers=4"},
      {loop, {"--root=/srv", "--connections=2000000000"}, "needs more descriptors than the"},
  };
  for (const Case& refused : cases) {
    const std::string said = refusal(refused.words, refused.architecture);
    CAPTURE(refused.words, said);
    CHECK(said.find(refused.said) != std::string::npos);
    CHECK(said.find('\n') == std::string::npos);
  }
}

TEST_CASE("the residency check that nobody named fits what is sent") {
  CHECK(accepted({"--body=mmap"}, helped).residency == Residency::mincore);
  const Residency of_files = is_supported(Residency::cachestat) ? Residency::cachestat : Residency::nowait;
  CHECK(accepted({"--body=buffer"}, helped).residency == of_files);  // of files too long for the cache
  CHECK(accepted({"--body=sendfile"}, helped).residency == of_files);
  CHECK(accepted({"--residency=none"}, helped).residency == Residency::none);
}

TEST_CASE("connections and cached files share the descriptors") {
  const rlimit limit = [] {
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now;
  }();
  const int descriptors = static_cast<int>(std::min<rlim_t>(limit.rlim_max, 1'000'000));
  SECTION("by themselves they fit") {
    for (const Architecture* architecture : {&loop, &helped, &pool, &threaded, &several}) {
      const Options options = accepted({}, *architecture);
      CAPTURE(architecture->name, options.connections, options.cache_entries);
      CHECK(options.descriptors <= descriptors);
      const int tables = architecture->descriptors_are_per_worker ? options.workers : 1;
      const int each = (options.connections + tables - 1) / tables;
      CHECK(options.connections >= 1);
      CHECK(options.cache_entries >= 0);
      CHECK(each + options.cache_entries + 3 < options.descriptors);
      CHECK(options.descriptors < 100'000);  // whatever the limit: tables are sized by it
    }
    CHECK(accepted({}, pool).connections == 8);
    CHECK(accepted({"--workers=20"}, pool).connections == 20);
  }
  SECTION("many connections leave fewer entries, unless those were asked for") {
    const int many = descriptors - 500;
    const std::string connections = "--connections=" + std::to_string(many);
    const Options options = accepted({connections});
    CHECK(options.connections == many);
    CHECK(options.cache_entries < 500);
    CHECK(options.cache_entries > 300);
    CHECK(refusal({"--root=/srv", connections, "--cache-entries=500"}, loop)
              .find("at most " + std::to_string(options.cache_entries) + " entries fit") != std::string::npos);
    CHECK(accepted({connections, "--cache-entries=500", "--body=buffer"}).cache_entries ==
          500);  // these hold no descriptors
  }
  SECTION("what may be fewer is fewer where descriptors are short, and as asked for where they are not") {
    const std::string too_many = std::to_string(2 * descriptors);
    const Options cut = accepted({"--connections=.." + too_many, "--cache-entries=.." + too_many});
    CHECK(cut.connections < descriptors);
    CHECK(cut.connections > descriptors / 2);
    CHECK(cut.connections + cut.cache_entries < descriptors);
    CHECK(cut.cache_entries > descriptors / 5);
    const Options few = accepted({"--connections=..100", "--cache-entries=..50"});
    CHECK(few.connections == 100);
    CHECK(few.cache_entries == 50);
    CHECK(accepted({"--cache-entries=.." + too_many, "--body=buffer"}).cache_entries == 2 * descriptors);
    const int four =
        accepted({"--workers=4", "--connections=.." + std::to_string(8 * descriptors)}, several).connections;
    CHECK(four > 2 * descriptors);
    CHECK(four < 4 * descriptors);
    CHECK_FALSE(refusal({"--root=/srv", "--connections=..0"}, loop).empty());
    CHECK_FALSE(refusal({"--root=/srv", "--connections=.."}, loop).empty());
  }
  SECTION("processes with tables of their own share the connections") {
    const int per_process = descriptors - 500;
    CHECK(accepted({"--workers=4", "--connections=" + std::to_string(4 * per_process)}, several).connections ==
          4 * per_process);
    CHECK_FALSE(
        refusal({"--root=/srv", "--workers=2", "--connections=" + std::to_string(4 * per_process)}, several).empty());
  }
  SECTION("what is asked for in vain names the way out") {
    const std::string said = refusal({"--root=/srv", "--connections=" + std::to_string(2 * descriptors)}, loop);
    CHECK(said.find("ulimit -n") != std::string::npos);
    CHECK(said.find("--workers=3") != std::string::npos);
  }
}

TEST_CASE("too few descriptors to serve with are said to be that") {
  const pid_t pid = ::fork();
  if (pid == 0) {  // the limit cannot be raised again
    const rlimit few = {40, 40};
    ::setrlimit(RLIMIT_NOFILE, &few);
    bool right = true;
    for (const Architecture* architecture : {&loop, &threaded, &several}) {
      right = right && refusal({"--root=/srv"}, *architecture)
                           .starts_with("the 40 descriptors that this process may have are too few");
    }
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
}

TEST_CASE("listening apart and who goes first mean something to some") {
  CHECK(accepted({"--reuseport=on"}, several).reuseport);
  CHECK(refusal({"--root=/srv", "--reuseport=on"}, loop).find("means nothing") != std::string::npos);
  CHECK(accepted({}, threaded).accept_priority == AcceptPriority::ready);
  CHECK(accepted({"--accept-priority=accepting"}, threaded).accept_priority == AcceptPriority::accepting);
  CHECK_FALSE(refusal({"--root=/srv", "--accept-priority=arrival"}, threaded).empty());
  CHECK(refusal({"--root=/srv", "--accept-priority=accepting"}, pool).find("means nothing") != std::string::npos);
}

TEST_CASE("describe tells what the architecture takes, the default first") {
  const nlohmann::json told = describe(threaded);
  CHECK(told["architecture"] == "threaded");
  CHECK(told["paper"] == "a paper");
  CHECK(told["workers"] ==
        nlohmann::json::parse(R"({"meaning": "kernel threads", "min": 1, "max": 100, "default": 4})"));
  CHECK(told["waiting"] == "by-readiness");
  CHECK(told["connections_are_workers"] == false);
  CHECK(told["connections_are_threads"] == true);
  const nlohmann::json& options = told["options"];
  CHECK(options["poller"] == nlohmann::json({"epoll", "poll", "select"}));
  CHECK(options["body"] == nlohmann::json({"auto", "sendfile", "mmap", "buffer", "uncached"}));
  CHECK(options["send"] == nlohmann::json({"nonblocking", "blocking"}));
  CHECK(options["residency"] == nlohmann::json({"always-offload", "none"}));
  CHECK(options["accept-priority"] == nlohmann::json({"ready", "accepting"}));
  CHECK(options["admission"] == nlohmann::json({"wait", "refuse", "close-idle"}));
  CHECK(options["cache-heads"] == nlohmann::json({"on", "off"}));
  CHECK(options["dynamic"] == nlohmann::json({"off", "on"}));
  CHECK(options["reuseport"] == nlohmann::json::array());
  CHECK(options["cache-bytes"] == "SIZE");
  CHECK(options["idle-timeout"] == "TIME");
  CHECK(describe(several)["options"]["reuseport"] == nlohmann::json({"off", "on"}));
  CHECK(describe(pool)["connections_are_workers"] == true);
  CHECK(describe(pool)["waiting"] == "in-calls");
  CHECK(describe(pool)["options"]["poller"].empty());
  CHECK(describe(pool)["options"]["accept-limit"].empty());
  CHECK(describe(helped)["options"]["colour"] == nlohmann::json({"red", "green"}));
  CHECK(describe(helped)["options"]["bound"] == "N");
  CHECK_FALSE(told["options"].contains("colour"));

  const Printed printed;
  CHECK_FALSE(parse({"--describe"}, threaded));  // and nothing else is asked for, not even the root
  nlohmann::json alone = nlohmann::json::parse(printed.text());
  CHECK(alone.at("connections") > 0);  // as many as the descriptors of this process allow
  alone.erase("connections");
  CHECK(alone == told);
}

TEST_CASE("help names every option that means something") {
  const Printed printed;
  CHECK_FALSE(parse({"--help"}, pool));
  const std::string help = printed.text();
  for (const char* name : {"--root", "--cache-entries", "--send-timeout", "--describe", "sendfile, buffer"}) {
    CAPTURE(name);
    CHECK(help.find(name) != std::string::npos);
  }
  for (const char* name : {"--poller", "--reuseport"}) {
    CAPTURE(name);
    CHECK(help.find(name) == std::string::npos);
  }
}

TEST_CASE("the effective options are written out, without those that mean nothing") {
  const nlohmann::json told = to_json(accepted({"--cache-valid=5s", "--defer-accept=on"}), loop);
  CHECK(told["poller"] == "epoll");
  CHECK(told["body"] == "auto");
  CHECK(told["auto_limit_bytes"] == auto_limit_default_bytes);
  CHECK(told["cache_valid_ms"] == 5000);
  CHECK(told["defer_accept"] == true);
  CHECK(told["residency"] == "none");
  CHECK(told["cache_heads"] == true);
  CHECK_FALSE(told.contains("colour"));
  CHECK_FALSE(told.contains("reuseport"));
  const nlohmann::json of_pool = to_json(accepted({}, pool), pool);
  CHECK_FALSE(of_pool.contains("poller"));
  CHECK_FALSE(of_pool.contains("auto_limit_bytes"));
  CHECK_FALSE(of_pool.contains("accept_limit"));
  const nlohmann::json of_helped =
      to_json(accepted({"--colour=green", "--bound=3", "--patience=1s", "--eager=on"}, helped), helped);
  CHECK(of_helped["colour"] == "green");
  CHECK(of_helped["bound"] == 3);
  CHECK(of_helped["patience_ms"] == 1000);
  CHECK(of_helped["eager"] == true);
}
