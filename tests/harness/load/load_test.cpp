// Whole runs, each of a fraction of a second, against servers that behave and servers that do not.
#include "harness/load/load.h"

#include <sys/time.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "harness/load/report.h"
#include "tests/catch.h"
#include "tests/harness/load/runs.h"
#include "tests/support/clock.h"

using namespace bakeoff;

namespace {

// A workload of three files, by a server that may spoil their bytes.
Workload three_files() {
  Workload workload;
  workload.name = "three";
  for (const std::uint64_t size : {10u, 3'000u, 200'000u}) {
    workload.files.add("/file" + std::to_string(size), size, static_cast<std::uint32_t>(workload.classes.size()));
    workload.classes.push_back({"class" + std::to_string(size), size, 1.0 / 3});
  }
  workload.popularity = Popularity::weighted({1, 1, 1});
  return workload;
}

void serve_three(Conversation& talk, const Workload& workload, bool spoil) {
  for (std::string request = talk.request(); !request.empty(); request = talk.request()) {
    const WorkloadFile& file = workload.files[workload.files.find(path_of(request)).value()];
    std::string body(file.size_bytes, '\0');
    content(file.content_seed, 0, body);
    if (spoil) body.back() = static_cast<char>(body.back() + 1);
    if (!talk.say(reply_with(body))) return;
  }
}

}  // namespace

TEST_CASE("a server that behaves gets only replies") {
  const LoadResult result = run_against([](Conversation& talk) {
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.replies() > 100);
  REQUIRE(result.recorder.body_bytes() == 5 * result.recorder.replies());
  REQUIRE(result.recorder.starved_slots() == 0);
  REQUIRE(result.recorder.slots().size() == 4);
  REQUIRE(result.recorder.in_flight_at_end() == 4);
  REQUIRE(result.recorder.reconnects() == 0);
}

TEST_CASE("the measured time is announced once, when all connections are open, and is the time that was measured") {
  ScriptedServer server([](Conversation& talk) {
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  const LoadSpec spec = spec_for(server.url());
  const std::atomic<bool> stop{false};
  std::vector<MeasuredTime> announced;
  const std::int64_t before_ns = monotonic_ns();
  LoadWatcher watcher;
  watcher.announce = [&](const MeasuredTime& time) { announced.push_back(time); };
  const LoadResult result = run_load(spec, stop, watcher);
  REQUIRE(announced.size() == 1);
  CHECK(announced[0].from_ns >= before_ns + spec.warmup_ns);
  CHECK(announced[0].to_ns - announced[0].from_ns == spec.duration_ns);
  CHECK(result.recorder.end_ns() == announced[0].to_ns);

  announced.clear();
  CHECK_THROWS_AS(run_load(spec_for("http://127.0.0.1:1/"), stop, watcher), StartError);
  CHECK(announced.empty());
}

TEST_CASE("several workers share the connections and merge what they saw") {
  const LoadResult result = run_against(
      [](Conversation& talk) {
        while (!talk.request().empty()) talk.say(reply_with("hello"));
      },
      [](LoadSpec& spec) {
        spec.threads = 2;
        spec.connections = 5;
      });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.slots().size() == 5);
  REQUIRE(result.recorder.starved_slots() == 0);
  REQUIRE(result.worker_cpu_s.size() == 2);
}

TEST_CASE("a reply may come in pieces, chunked, after interim replies, or end with the connection") {
  for (const char* reply : {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                            "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}) {
    const LoadResult result = run_against([&](Conversation& talk) {
      while (!talk.request().empty())
        for (const char* c = reply; *c != '\0'; ++c) talk.say(std::string_view(c, 1));
    });
    REQUIRE(result.recorder.errors() == 0);
    REQUIRE(result.recorder.replies() > 4);
    REQUIRE(result.recorder.body_bytes() == 5 * result.recorder.replies());
  }
  const LoadResult result = run_against([](Conversation& talk) {
    talk.request();
    talk.say("HTTP/1.1 200 OK\r\n\r\nhello");
  });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.replies() > 4);
  REQUIRE(result.recorder.reconnects() > 4);
}

TEST_CASE("one request a connection, or a few, by choice of either side") {
  const auto polite = [](Conversation& talk) {
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  };
  for (const std::uint32_t requests : {1u, 3u}) {
    const LoadResult result = run_against(polite, [&](LoadSpec& spec) { spec.requests_per_connection = requests; });
    REQUIRE(result.recorder.errors() == 0);
    REQUIRE(result.recorder.reconnects() > 4);
    const double each =
        static_cast<double>(result.recorder.replies()) / static_cast<double>(result.recorder.reconnects());
    REQUIRE(each == Approx(requests).epsilon(0.3));
  }
  const LoadResult result = run_against([](Conversation& talk) {
    talk.request();
    talk.say(reply_with("hello", "Connection: close\r\n"));
  });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.reconnects() > 4);
}

TEST_CASE("each way to misbehave is counted under its own name, and the run goes on to its end") {
  require_only(run_against([](Conversation& talk) { talk.request(); }), LoadError::closed_early);
  require_only(run_against([](Conversation& talk) {
                 talk.request();
                 talk.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!");
               }),
               LoadError::closed_early);
  require_only(run_against([](Conversation& talk) {
                 talk.request();
                 talk.reset();
               }),
               LoadError::reset);
  require_only(run_against([](Conversation& talk) {
                 while (!talk.request().empty()) talk.say("SSH-2.0-nonsense\r\n");
               }),
               LoadError::malformed);
  require_only(run_against([](Conversation& talk) {
                 while (!talk.request().empty()) talk.say(reply_with("five!") + "and more");
               }),
               LoadError::malformed);
  require_only(run_against([](Conversation& talk) {
                 while (!talk.request().empty()) talk.say("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
               }),
               LoadError::bad_status);
  require_only(run_against([](Conversation& talk) {
                 while (!talk.request().empty()) talk.say("HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n");
               }),
               LoadError::bad_status);
  require_only(run_against(
                   [](Conversation& talk) {
                     while (!talk.request().empty()) talk.say(reply_with("five!"));
                   },
                   [](LoadSpec& spec) { spec.expected_bytes = 6; }),
               LoadError::wrong_length);
}

TEST_CASE("a reply that differs in length from the first one is wrong, unless any length will do") {
  const auto growing = [](Conversation& talk) {
    for (std::string body = "x"; !talk.request().empty(); body += "x") talk.say(reply_with(body));
  };
  require_only(run_against(growing), LoadError::wrong_length);
  REQUIRE(run_against(growing, [](LoadSpec& spec) {
            spec.expected_bytes = ClientRequest::any_length;
          }).recorder.errors() == 0);
}

TEST_CASE("a server that never answers, or one byte a time, runs into the time-out when it passes") {
  const auto shorten = [](LoadSpec& spec) { spec.timeout_ns = 30'000'000; };
  const LoadResult silent = run_against([](Conversation& talk) { talk.wait_for_end(); }, shorten);
  require_only(silent, LoadError::timeout);
  REQUIRE(silent.recorder.classes()[0].timeouts == silent.recorder.errors());
  // Those of the warm-up end in the window.
  REQUIRE(silent.recorder.classes()[0].attempts + 4 >= silent.recorder.errors());
  REQUIRE(silent.recorder.replies() == 0);
  // Late replies do not make up for it.
  const LoadResult late = run_against(
      [](Conversation& talk) {
        while (!talk.request().empty()) {
          pollfd gone{talk.fd(), POLLRDHUP, 0};
          poll(&gone, 1, 60);
          talk.say(reply_with("late"));
        }
      },
      shorten);
  require_only(late, LoadError::timeout);
  REQUIRE(late.recorder.replies() == 0);
}

TEST_CASE("a connection that is refused from the beginning is an error of the start") {
  std::string url;
  {
    ScriptedServer server([](Conversation&) {});
    url = server.url();
  }
  REQUIRE_THROWS_AS(run(spec_for(url)), StartError);
}

TEST_CASE("a server that goes away is retried with patience, not in a circle") {
  const ScriptedServer server(
      [](Conversation& talk) {
        for (int i = 0; i < 20 && !talk.request().empty(); ++i) talk.say(reply_with("hello"));
      },
      150);
  LoadSpec spec = spec_for(server.url());
  spec.duration_ns = 400'000'000;
  const LoadResult result = run(spec);
  REQUIRE(result.recorder.replies() > 0);
  REQUIRE(result.recorder.errors(LoadError::connect_refused) > 0);
  REQUIRE(result.recorder.errors(LoadError::connect_refused) < 100);
}

TEST_CASE("a workload's replies are checked in length and bytes") {
  const Workload workload = three_files();
  const auto with_workload = [&](LoadSpec& spec) {
    spec.workload = workload;
    spec.verify_every = 1;
  };
  const LoadResult right = run_against([&](Conversation& talk) { serve_three(talk, workload, false); }, with_workload);
  REQUIRE(right.recorder.errors() == 0);
  REQUIRE(right.recorder.replies() > 10);
  REQUIRE(right.recorder.verified_replies() == right.recorder.replies());
  for (const ClassTally& tally : right.recorder.classes()) REQUIRE(tally.replies > 0);

  const LoadResult spoilt = run_against([&](Conversation& talk) { serve_three(talk, workload, true); }, with_workload);
  require_only(spoilt, LoadError::wrong_bytes);
  LoadSpec spec;
  REQUIRE_FALSE(judge(spec, spoilt).valid());

  const LoadResult discarded = run_against([&](Conversation& talk) { serve_three(talk, workload, false); },
                                           [&](LoadSpec& s) {
                                             with_workload(s);
                                             s.verify_every = 0;
                                             s.discard = true;
                                           });
  REQUIRE(discarded.recorder.errors() == 0);
  REQUIRE(discarded.recorder.classes()[2].replies > 0);
}

TEST_CASE("the same seed asks for the same files") {
  const Workload workload = three_files();
  const RequestTable requests(parse_url("http://h/"), {parse_url("http://h/"), {}}, workload, false);
  const auto asked = [&](std::uint64_t seed) {
    WorkloadSource source(requests, workload, seed, 5, 1);
    std::string order;
    for (int i = 0; i < 50; ++i) order += static_cast<char>('0' + source.next(0).class_index);
    return order;
  };
  REQUIRE(asked(1) == asked(1));
  REQUIRE(asked(1) != asked(2));
}

TEST_CASE("clients that a server leaves waiting are told as starved, and by Jain's index") {
  std::atomic<int> lucky{0};
  const LoadResult result = run_against([&](Conversation& talk) {
    if (lucky++ != 0) return talk.wait_for_end();
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  REQUIRE(result.recorder.replies() > 0);
  REQUIRE(result.recorder.starved_slots() == 3);
  REQUIRE(jain_index(result.recorder.slots()) == Approx(0.25));
}

TEST_CASE("the document has every name that others rely on") {
  ScriptedServer server([](Conversation& talk) {
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  const LoadSpec spec = spec_for(server.url());
  const auto json = to_json(spec, run(spec));
  for (const char* name : {"schema_version",
                           "url",
                           "model",
                           "replies",
                           "replies_per_s",
                           "body_bytes",
                           "received_bytes",
                           "throughput_mbps",
                           "duration_s",
                           "warmup_s",
                           "seed",
                           "connections",
                           "errors",
                           "latency_ms",
                           "histogram",
                           "classes",
                           "jain_index",
                           "starved_connections",
                           "in_flight_at_end",
                           "verified_replies",
                           "client",
                           "verdict"})
    REQUIRE(json.contains(name));
  REQUIRE(json["connections"]["opened"] == 4);
  REQUIRE(json["duration_s"].get<double>() == Approx(0.2));
  REQUIRE(json["latency_ms"]["p99"].get<double>() > 0);
  REQUIRE(json["histogram"]["count"] == json["replies"]);
}

TEST_CASE("a run that is stopped keeps what it measured") {
  ScriptedServer server([](Conversation& talk) {
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  LoadSpec spec = spec_for(server.url());
  spec.duration_ns = 60'000'000'000;
  static std::atomic<bool> stop;
  stop = false;
  std::signal(SIGALRM, [](int) { stop = true; });
  const itimerval once{{0, 0}, {0, 200'000}};
  setitimer(ITIMER_REAL, &once, nullptr);
  const LoadResult result = run_load(spec, stop);
  std::signal(SIGALRM, SIG_DFL);
  REQUIRE(result.interrupted);
  REQUIRE(result.recorder.replies() > 0);
  REQUIRE(result.duration_s < 5);
}

TEST_CASE("the document has what its schema requires, down to the errors") {
  ScriptedServer server([](Conversation& talk) {
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  LoadSpec spec = spec_for(server.url());
  spec.model = LoadModel::open;
  spec.rate = RateProfile({{1, 500, 500}});
  spec.rate_text = "500";
  const auto json = to_json(spec, run(spec));
  std::ifstream in(data_dir() / "harness/load/load.schema.json");
  const auto schema = nlohmann::json::parse(in);
  for (const auto& name : schema["required"]) REQUIRE(json.contains(name.get<std::string>()));
  for (const auto& [name, value] : json.items()) {
    INFO(name);
    REQUIRE(schema["properties"].contains(name));
    for (const auto& inner : schema["properties"][name].value("required", nlohmann::json::array()))
      if (value.is_object()) REQUIRE(value.contains(inner.get<std::string>()));
  }
}

TEST_CASE("an open loop offers its rate whatever the server does, and tells lag and latency apart") {
  const auto open = [](LoadSpec& spec) {
    spec.model = LoadModel::open;
    spec.rate = RateProfile({{1, 500, 500}});
    spec.arrivals = Arrivals::fixed;
  };
  LoadSpec spec;
  const LoadResult easy = run_against(
      [](Conversation& talk) {
        while (!talk.request().empty()) talk.say(reply_with("hello"));
      },
      [&](LoadSpec& s) {
        open(s);
        s.connections = 128;  // more than there are arrivals: however late the machine is, one is free
        spec = s;
      });
  REQUIRE(easy.recorder.offered() == Approx(100).margin(1));
  REQUIRE(easy.recorder.errors() == 0);
  REQUIRE(easy.recorder.found_no_connection() == 0);

  // One connection and 20 ms a reply: 50/s of the 500/s offered; those who wait are seen in the latency.
  const LoadResult hard = run_against(
      [](Conversation& talk) {
        while (!talk.request().empty()) {
          poll(nullptr, 0, 20);
          talk.say(reply_with("hello"));
        }
      },
      [&](LoadSpec& s) {
        open(s);
        s.connections = 1;
        spec = s;
      });
  REQUIRE(hard.recorder.offered() == Approx(100).margin(1));
  REQUIRE(hard.recorder.replies() < 20);
  REQUIRE(hard.recorder.from_schedule().max_ns() > 100'000'000);
  REQUIRE(hard.recorder.from_send().percentile_ns(0.5) < 60'000'000);
  REQUIRE(hard.recorder.send_lag().max_ns() > 60'000'000);
  REQUIRE(hard.recorder.found_no_connection() > 80);
  const Verdict verdict = judge(spec, hard);
  REQUIRE(verdict.kind == VerdictKind::client_limited);
  REQUIRE(verdict.reasons.size() == 1);
}

TEST_CASE("an arrival that finds no free connection with its worker goes to another worker's") {
  // Each connection has an address of its own, the first worker's from 127.0.0.2 on; the server never answers those.
  const LoadResult result = run_against(
      [](Conversation& talk) {
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        getpeername(talk.fd(), reinterpret_cast<sockaddr*>(&peer), &length);
        if (ntohl(peer.sin_addr.s_addr) < INADDR_LOOPBACK + 1 + 8) return talk.wait_for_end();
        while (!talk.request().empty()) talk.say(reply_with("hello"));
      },
      [](LoadSpec& spec) {
        spec.model = LoadModel::open;
        spec.rate = RateProfile({{1, 500, 500}});
        spec.arrivals = Arrivals::fixed;
        spec.connections = spec.source_addresses = 16;
        spec.threads = 2;
      });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.offered() == Approx(100).margin(1));
  // Were the first worker's arrivals its own, half of all would have no reply.
  REQUIRE(result.recorder.replies() > 75);
}

TEST_CASE("several workers that are all too slow offer each arrival once") {
  const LoadResult result = run_against(
      [](Conversation& talk) {
        while (!talk.request().empty()) {
          poll(nullptr, 0, 20);
          talk.say(reply_with("hello"));
        }
      },
      [](LoadSpec& spec) {
        spec.model = LoadModel::open;
        spec.rate = RateProfile({{1, 500, 500}});
        spec.arrivals = Arrivals::fixed;
        spec.connections = spec.threads = 2;
      });
  REQUIRE(result.recorder.offered() == Approx(100).margin(1));
  REQUIRE(result.recorder.replies() < 40);
  REQUIRE(result.recorder.found_no_connection() > 60);
}

TEST_CASE("pipelined requests get their replies in order") {
  const Workload workload = three_files();
  const LoadResult result = run_against([&](Conversation& talk) { serve_three(talk, workload, false); },
                                        [&](LoadSpec& spec) {
                                          spec.workload = workload;
                                          spec.verify_every = 1;
                                          spec.pipeline = 7;
                                        });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.replies() > 14);
  REQUIRE(result.recorder.verified_replies() == result.recorder.replies());
}

TEST_CASE("a slow reader takes its time") {
  const LoadResult result = run_against(
      [](Conversation& talk) {
        const std::string body(2'000, 'x');
        while (!talk.request().empty()) talk.say(reply_with(body));
      },
      [](LoadSpec& spec) {
        spec.reader_bytes_per_s = 100'000;
        spec.duration_ns = 400'000'000;
      });
  REQUIRE(result.recorder.errors() == 0);
  REQUIRE(result.recorder.replies() > 8);
  // Four readers for 0.4 s, and at most a bite each more.
  REQUIRE(result.recorder.received_bytes() < 160'000 + 4 * 2'000 + 4'000);
}

TEST_CASE("time-outs are told apart by what the request waited for") {
  const auto shorten = [](LoadSpec& spec) {
    spec.timeout_ns = test::sanitized ? 300'000'000 : 50'000'000;  // enough for a busy machine to send half a reply
    spec.duration_ns = 4 * spec.timeout_ns;
  };
  const LoadResult silent = run_against([](Conversation& talk) { talk.wait_for_end(); }, shorten);
  REQUIRE(silent.recorder.timeouts(TimeoutPhase::first_byte) == silent.recorder.errors());
  const LoadResult half = run_against(
      [](Conversation& talk) {
        talk.request();
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        talk.wait_for_end();
      },
      shorten);
  REQUIRE(half.recorder.timeouts(TimeoutPhase::body) == half.recorder.errors());
  REQUIRE(half.recorder.errors(LoadError::timeout) > 0);
}

TEST_CASE("each reason against a run is found") {
  LoadSpec spec;
  spec.connections = 2;
  const auto good = [] {
    LoadResult result;
    Recorder recorder(2, 1, false);
    recorder.set_window(0, 1'000'000'000);
    for (const std::uint32_t slot : {0u, 1u}) {
      recorder.opened(slot, -1);
      recorder.replied(slot, 0, {0, 0}, 5, false, 990'000'000);
    }
    result.recorder.merge(recorder);
    result.worker_cpu_s = {0.5, 0.94};
    result.duration_s = 1;
    return result;
  };
  REQUIRE(judge(spec, good()).valid());

  LoadResult result = good();
  result.worker_cpu_s[1] = 0.96;
  REQUIRE(judge(spec, result).kind == VerdictKind::client_limited);

  spec.connections = 3;
  REQUIRE(judge(spec, good()).kind == VerdictKind::client_limited);
  spec.connections = 2;

  result = good();
  Recorder idle(1, 1, false);
  idle.set_window(0, 1'000'000'000);
  idle.opened(0, -1);
  result.recorder.merge(idle);
  spec.connections = 3;
  REQUIRE(judge(spec, result).reasons.front().starts_with("Little's law"));
  REQUIRE(judge(spec, result).kind == VerdictKind::client_limited);
  // The third client opened connections all the time, because the server closed them.
  LoadResult closing = result;
  Recorder opening(0, 1, false);
  opening.set_window(0, 1'000'000'000);
  opening.connected(-5'000'000, 990'000'000);
  closing.recorder.merge(opening);
  REQUIRE(judge(spec, closing).valid());
  // The third client waited, because the server had failed it.
  Recorder failed(0, 1, false);
  failed.set_window(0, 1'000'000'000);
  failed.failed(0, 0, LoadError::reset, 10'000'000);
  failed.held_back(10'000'000, 2'000'000'000);
  result.recorder.merge(failed);
  REQUIRE(judge(spec, result).reasons.front().starts_with("Little's law"));
  REQUIRE(judge(spec, result).reasons.front().ends_with("the server failed the others: reset 1"));
  REQUIRE(judge(spec, result).kind == VerdictKind::server_failed);
  spec.connections = 2;

  result = good();
  Recorder wrong(0, 1, false);
  wrong.set_window(0, 1'000'000'000);
  wrong.failed(0, 10, LoadError::wrong_bytes, 20);
  result.recorder.merge(wrong);
  REQUIRE(judge(spec, result).kind == VerdictKind::server_failed);

  result = LoadResult();
  result.duration_s = 1;
  REQUIRE_FALSE(judge(spec, result).valid());
  result.duration_s = 0;
  REQUIRE_FALSE(judge(spec, result).valid());
}

TEST_CASE("what a server does wrong is the server's fault, not the client's limit") {
  LoadSpec spec;
  const auto kept = [&](LoadSpec& changed) { spec = changed; };
  const auto is_of_server = [&](const LoadResult& result, std::string_view part) {
    const Verdict verdict = judge(spec, result);
    REQUIRE_FALSE(verdict.reasons.empty());
    INFO(verdict.reasons.front());
    CHECK(verdict.kind == VerdictKind::server_failed);
    CHECK(verdict.reasons.front().find(part) != std::string::npos);
  };
  // Every reply is wrong.
  is_of_server(run_against(
                   [](Conversation& talk) {
                     while (!talk.request().empty()) talk.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
                   },
                   kept),
               "no reply was right: bad_status ");
  is_of_server(run_against([](Conversation& talk) { talk.request(); }, kept), "no reply was right: closed_early ");
  is_of_server(run_against(
                   [](Conversation& talk) {
                     while (!talk.request().empty()) talk.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
                   },
                   [&](LoadSpec& changed) {
                     changed.model = LoadModel::open;
                     changed.rate = RateProfile({{1, 100, 100}});
                     kept(changed);
                   }),
               "no reply was right: bad_status ");
  // It ends in the middle of the run.
  {
    ScriptedServer server(
        [](Conversation& talk) {
          while (!talk.request().empty()) talk.say(reply_with("hello"));
        },
        100);
    spec = spec_for(server.url());
    spec.warmup_ns = 0;
    spec.duration_ns = 400'000'000;
    is_of_server(run(spec), "it ended, or closed its port");
  }
  // Half of an open loop's replies are wrong.
  std::atomic<int> count{0};
  is_of_server(
      run_against(
          [&](Conversation& talk) {
            while (!talk.request().empty())
              talk.say(++count % 2 == 0 ? reply_with("hello") : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
          },
          [&](LoadSpec& changed) {
            changed.model = LoadModel::open;
            changed.rate = RateProfile({{1, 500, 500}});
            changed.connections = 64;
            kept(changed);
          }),
      "the server failed the others: bad_status ");
}

TEST_CASE("what a process recorded survives its way to another") {
  const Workload workload = three_files();
  const LoadResult result = run_against([&](Conversation& talk) { serve_three(talk, workload, false); },
                                        [&](LoadSpec& spec) { spec.workload = workload; });
  const auto json = result.recorder.to_json();
  REQUIRE(Recorder::from_json(nlohmann::ordered_json::parse(json.dump())).to_json() == json);
}
