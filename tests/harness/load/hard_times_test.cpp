// Servers, networks and machines at their worst: each trouble is counted under its own name, each run goes on to its
// end, and each reason against a run's figures is made to happen.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/base/errors.h"
#include "harness/load/report.h"
#include "harness/load/session_log.h"
#include "tests/harness/load/runs.h"
#include "tests/support/clock.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using bakeoff::test::sanitized;
using bakeoff::test::TempDir;

namespace {

bool has_reason(const LoadSpec& spec, const LoadResult& result, std::string_view part) {
  const Verdict verdict = judge(spec, result);
  for (const std::string& reason : verdict.reasons) UNSCOPED_INFO(reason);
  return verdict.kind == VerdictKind::client_limited &&
         std::any_of(verdict.reasons.begin(), verdict.reasons.end(),
                     [&](const std::string& reason) { return reason.find(part) != std::string::npos; });
}

void set_loopback(bool up) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq interface {};
  std::strcpy(interface.ifr_name, "lo");
  interface.ifr_flags = up ? IFF_UP : 0;
  ioctl(fd, SIOCSIFFLAGS, &interface);
  close(fd);
}

// A network of this process's own, whose only interface is a loopback that nobody else sees. It takes root.
class OwnNetwork {
 public:
  OwnNetwork() : outside_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)), there_(unshare(CLONE_NEWNET) == 0) {
    if (there_) set_loopback(true);
    if (!there_) WARN("this user may not make a network of its own: the case is skipped");
  }
  ~OwnNetwork() {
    if (there_) setns(outside_, CLONE_NEWNET);
    close(outside_);
  }
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;
  bool there() const { return there_; }

 private:
  int outside_;
  bool there_;
};

}  // namespace

TEST_CASE("one byte now and then does not put a time-out off") {
  const LoadResult result = run_against(
      [](Conversation& talk) {
        talk.request();
        for (const char c : reply_with("hello")) {
          poll(nullptr, 0, 20);
          if (!talk.say(std::string_view(&c, 1))) return;
        }
      },
      [](LoadSpec& spec) {
        spec.timeout_ns = 200'000'000;
        spec.duration_ns = 800'000'000;
      });
  require_only(result, LoadError::timeout);
  REQUIRE(result.recorder.replies() == 0);
  REQUIRE(result.recorder.timeouts(TimeoutPhase::body) > 0);
}

TEST_CASE("a reply without end runs into its time-out, and keeps no other connection waiting") {
  std::string chunks;
  for (int i = 0; i < 64; ++i) chunks += "1000\r\n" + std::string(4096, 'x') + "\r\n";
  const auto start_ms = test::now_ms();
  const LoadResult result = run_against(
      [&](Conversation& talk) {
        talk.request();
        talk.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (talk.say(chunks)) {
        }
      },
      [](LoadSpec& spec) {
        spec.connections = 1;
        spec.timeout_ns = 150'000'000;
        spec.duration_ns = 500'000'000;
      });
  require_only(result, LoadError::timeout);
  REQUIRE(result.recorder.received_bytes() > 100'000);
  REQUIRE(test::now_ms() - start_ms < test::patience_ms);
}

TEST_CASE("a body that ends with its connection is read to its end, however large it is") {
  const TempDir dir;
  dir.write("log", "/a\n");
  const std::string body(16 << 20, 'x');
  for (const bool discard : {false, true}) {
    const LoadResult result = run_against(
        [&](Conversation& talk) {
          talk.request();
          talk.say("HTTP/1.1 200 OK\r\n\r\n" + body);
        },
        [&](LoadSpec& spec) {
          spec.model = LoadModel::log;
          spec.log = std::make_shared<RereadableLog>((dir.path() / "log").string(), 0, 1);
          spec.log_sessions = 8;
          spec.connections = 2;
          spec.duration_ns = spec.warmup_ns = 0;
          spec.timeout_ns = 5'000'000'000;
          spec.discard = discard;
        });
    REQUIRE(result.recorder.errors() == 0);
    REQUIRE(result.recorder.replies() == 8);
    REQUIRE(result.recorder.body_bytes() == 8 * body.size());
  }
}

TEST_CASE("a request that met an idle connection's end goes out again, once") {
  // A server that closes after each reply without a word. Its end is seen as an end, as a reset, or only when the next
  // request is written.
  const std::pair<const char*, ScriptedServer::Script> ways[] = {
      {"an end",
       [](Conversation& talk) {
         if (talk.request().empty() || !talk.say(reply_with("hello"))) return;
         talk.request();
       }},
      {"a reset",
       [](Conversation& talk) {
         if (talk.request().empty() || !talk.say(reply_with("hello"))) return;
         talk.request();
         talk.reset();
       }},
      {"a broken pipe", [](Conversation& talk) {
         if (talk.request().empty() || !talk.say(reply_with("hello"))) return;
         talk.reset();
       }}};
  for (const auto& [way, script] : ways)
    for (const std::uint32_t pipeline : {1u, 3u}) {
      INFO(way << ", " << pipeline << " at once");
      const LoadResult result = run_against(script, [&](LoadSpec& spec) { spec.pipeline = pipeline; });
      CHECK(result.recorder.errors() == 0);
      CHECK(result.recorder.replies() > 10);
      if (way != std::string_view("a broken pipe")) CHECK(result.recorder.reissued() > 10);
      // Each request is one attempt, however often it went out.
      CHECK(result.recorder.classes()[0].attempts <= result.recorder.replies() + 2 * 4 * pipeline);
    }
}

TEST_CASE("a request that meets the end of a second connection has failed") {
  const TempDir dir;
  dir.write("log", "/a\n/b\n");
  std::atomic<bool> first{true};
  const LoadResult result = run_against(
      [&](Conversation& talk) {
        if (talk.request().empty()) return;
        if (!first.exchange(false)) return;
        talk.say(reply_with("hello"));
        talk.request();
      },
      [&](LoadSpec& spec) {
        spec.connections = 1;
        spec.model = LoadModel::log;
        spec.log = std::make_shared<RereadableLog>((dir.path() / "log").string(), 0, 1);
        spec.log_sessions = 2;
        spec.duration_ns = spec.warmup_ns = 0;
      });
  require_only(result, LoadError::closed_early);
  REQUIRE(result.recorder.replies() == 1);
  REQUIRE(result.recorder.reissued() == 1);
}

TEST_CASE("what must not be taken twice does not go out twice") {
  const TempDir dir;
  dir.write("log", "/a\n/b method=POST contents=x\n");
  ScriptedServer server([](Conversation& talk) {
    if (talk.request().empty() || !talk.say(reply_with("hello"))) return;
    talk.request();
  });
  LoadSpec spec = spec_for(server.url());
  spec.model = LoadModel::log;
  spec.log = std::make_shared<RereadableLog>((dir.path() / "log").string(), 0, 1);
  spec.log_sessions = 5;
  spec.connections = 1;
  spec.duration_ns = spec.warmup_ns = 0;
  const LoadResult result = run(spec);
  require_only(result, LoadError::closed_early);
  REQUIRE(result.recorder.replies() == 5);
  REQUIRE(result.recorder.reissued() == 0);
  REQUIRE(server.requests() == 10);
}

TEST_CASE("a client that is out of descriptors says so, and that not all connections were opened") {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // Enough for what it asks for, had others not taken most of them.
  std::vector<int> taken;
  const rlimit tight{200, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  for (int fd = 0; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd < 170;) taken.push_back(fd);
  LoadSpec spec;
  const LoadResult result = run_against(polite, [&](LoadSpec& changed) {
    changed.connections = 100;
    changed.duration_ns = 400'000'000;
    spec = changed;
  });
  for (const int fd : taken) close(fd);
  setrlimit(RLIMIT_NOFILE, &before);
  require_only(result, LoadError::fd_unavailable);
  REQUIRE(result.recorder.replies() > 0);
  REQUIRE(has_reason(spec, result, "of 100 connections were opened"));
}

TEST_CASE("a client that is out of ports says so") {
  const OwnNetwork network;
  if (!network.there()) return;
  std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "50000 50007";
  LoadSpec spec;
  const LoadResult result = run_against(polite, [&](LoadSpec& changed) {
    changed.connections = 20;
    changed.duration_ns = 400'000'000;
    spec = changed;
  });
  require_only(result, LoadError::address_unavailable);
  REQUIRE(result.recorder.replies() > 0);
  REQUIRE(has_reason(spec, result, "of 20 connections were opened"));
}

TEST_CASE("a peer that vanishes without a word is met by time-outs") {
  const OwnNetwork network;
  if (!network.there()) return;
  std::atomic<bool> first{true};
  const LoadResult result = run_against(
      [&](Conversation& talk) {
        const bool ends_it = first.exchange(false);
        for (int replies = 0; !talk.request().empty(); ++replies) {
          if (ends_it && replies == 20) set_loopback(false);
          talk.say(reply_with("hello"));
        }
      },
      [](LoadSpec& spec) {
        spec.warmup_ns = 0;
        spec.duration_ns = 1'500'000'000;
        spec.timeout_ns = spec.connect_timeout_ns = 300'000'000;
      });
  REQUIRE(result.recorder.replies() >= 20);
  REQUIRE(result.recorder.errors(LoadError::timeout) >= 4);
  REQUIRE(result.recorder.errors(LoadError::connect_timeout) > 0);
  REQUIRE(result.recorder.errors() ==
          result.recorder.errors(LoadError::timeout) + result.recorder.errors(LoadError::connect_timeout));
}

TEST_CASE("a server to which no way leads is unreachable") {
  const OwnNetwork network;
  if (!network.there()) return;
  LoadSpec spec = spec_for("http://10.1.2.3:80/");
  REQUIRE_THROWS_AS(run(spec), StartError);
  spec.requests_per_connection = 1;  // which opens no connection before the run
  require_only(run(spec), LoadError::unreachable);
}

TEST_CASE("a client that has no processor time left says so") {
  // A reply that is cheap to send and dear to read.
  std::string body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20'000; ++i) body += "1\r\nx\r\n";
  body += "0\r\n\r\n";
  const auto busy = [&] {
    return run_against(
        [&](Conversation& talk) {
          while (!talk.request().empty() && talk.say(body)) {
          }
        },
        [](LoadSpec& changed) { changed.duration_ns = 300'000'000; });
  };
  // Others may want the processors: it and its server insist, and try again.
  const bool first = setpriority(PRIO_PROCESS, 0, -20) == 0;
  LoadSpec spec;
  spec.connections = 4;
  bool limited = false;
  for (int tries = 0; tries < 5 && !limited; ++tries) {
    const LoadResult result = busy();
    UNSCOPED_INFO("processor time " << result.worker_cpu_s[0] << " s of " << result.duration_s);
    const bool had_a_core = result.worker_cpu_s[0] > 0.95 * result.duration_s;
    limited = has_reason(spec, result, "out of processor time");
    CHECK(limited == had_a_core);
  }
  if (first) setpriority(PRIO_PROCESS, 0, 0);
  if (!limited) WARN("the machine is too busy for a client to have a processor of its own");
}

TEST_CASE("a log of a million sessions is streamed") {
  const TempDir dir;
  const std::string file = (dir.path() / "log").string();
  const std::uint64_t sessions = sanitized ? 20'000 : 1'000'000;
  {
    std::ofstream out(file);
    for (std::uint64_t i = 0; i < sessions; ++i) out << "/a" << i << "\n\t/b\n\n";
  }
  const auto resident_kb = [] {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return -1L;
  };
  const long before_kb = resident_kb();
  const RequestFields fields(parse_url("http://h/"), {});
  LogModel model({file, 0, sessions, 0, 1}, fields, nullptr, std::nullopt, 1);
  model.begin(0);
  std::uint64_t requests = 0;
  for (Action action = model.next(0, 0); action.kind == Action::Kind::send; action = model.next(0, 0))
    for (std::uint32_t i = 0; i < action.count; ++i, ++requests)
      if (model.take(0).text_bytes == 0) FAIL("an empty request");
  REQUIRE(requests == 2 * sessions);
  REQUIRE(model.finished());
  REQUIRE(model.sessions().completed == sessions);
  if (!sanitized) REQUIRE(resident_kb() - before_kb < 4096);
}

TEST_CASE("a URI's bytes are sent as the log has them, whatever they are") {
  std::string uri = "/";
  for (int c = 1; c < 256; ++c)
    if (std::strchr(" \t\n\v\f\r", c) == nullptr) uri += static_cast<char>(c);
  uri.insert(100, 1, '\0');
  const TempDir dir;
  dir.write("log", uri + "\n");
  const LoadResult result = run_against(
      [&](Conversation& talk) {
        while (true) {
          const std::string head = talk.request();
          if (head.empty()) return;
          talk.say(path_of(head) == uri ? reply_with("the same") : "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
        }
      },
      [&](LoadSpec& spec) {
        spec.model = LoadModel::log;
        spec.log = std::make_shared<RereadableLog>((dir.path() / "log").string(), 0, 1);
        spec.log_sessions = 10;
        spec.duration_ns = spec.warmup_ns = 0;
      });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.replies() == 10);
}

TEST_CASE("a burst of a log may have any number of requests") {
  const TempDir dir;
  std::string log = "/first\n";
  for (int i = 0; i < 300; ++i) log += "\t/embedded" + std::to_string(i) + "\n";
  dir.write("log", log);
  const LoadResult result = run_against(
      [](Conversation& talk) {
        if (path_of(talk.request()) != "/first") return;
        talk.say(reply_with("hello"));
        // All the rest come before another reply goes.
        for (int i = 0; i < 300; ++i)
          if (path_of(talk.request()) != "/embedded" + std::to_string(i)) return;
        for (int i = 0; i < 300; ++i) talk.say(reply_with("hello"));
        talk.wait_for_end();
      },
      [&](LoadSpec& spec) {
        spec.model = LoadModel::log;
        spec.log = std::make_shared<RereadableLog>((dir.path() / "log").string(), 0, 1);
        spec.log_sessions = 3;
        spec.connections = 2;
        spec.duration_ns = spec.warmup_ns = 0;
      });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.replies() == 3 * 301);
}

TEST_CASE("a trace is sent once, in its order and at its times, by all workers together") {
  const TempDir dir;
  const std::string seen = (dir.path() / "seen").string();
  Workload workload;
  workload.name = "trace";
  std::vector<std::uint32_t> order;
  std::vector<double> times_s;
  for (std::uint32_t i = 0; i < 40; ++i) {
    workload.files.add("/file" + std::to_string(i), 5, 0);
    order.push_back(39 - i);
    times_s.push_back(i < 20 ? 0.1 : 1.1);
  }
  workload.classes.push_back({"all", 5, 1});
  workload.popularity = Popularity::in_order(order, 40);
  const LoadResult result = run_against(
      [&](Conversation& talk) {
        for (std::string head = talk.request(); !head.empty(); head = talk.request()) {
          std::ofstream(seen, std::ios::app) << path_of(head) + "\n" << std::flush;
          talk.say(reply_with("hello"));
        }
      },
      [&](LoadSpec& spec) {
        spec.workload = workload;
        spec.verify_every = 0;
        spec.model = LoadModel::open;
        spec.times_s = std::make_shared<const std::vector<double>>(times_s);
        spec.threads = 2;
        spec.connections = 8;
        spec.warmup_ns = 0;
        spec.duration_ns = 2'000'000'000;
      });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.offered() == 40);
  REQUIRE(result.recorder.replies() + result.recorder.in_flight_at_end() == 40);
  std::ifstream in(seen);
  std::vector<std::string> paths;
  for (std::string path; std::getline(in, path);) paths.push_back(path);
  REQUIRE(paths.size() == 40);
  // The first half is all there before the second is due.
  std::vector<std::string> first_half(paths.begin(), paths.begin() + 20), expected;
  for (int i = 39; i >= 20; --i) expected.push_back("/file" + std::to_string(i));
  std::sort(first_half.begin(), first_half.end());
  std::sort(expected.begin(), expected.end());
  REQUIRE(first_half == expected);
  std::sort(paths.begin(), paths.end());
  REQUIRE(std::unique(paths.begin(), paths.end()) == paths.end());
}
