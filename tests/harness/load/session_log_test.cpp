#include "harness/load/session_log.h"

#include <sstream>

#include "core/base/errors.h"
#include "harness/load/load.h"
#include "tests/catch.h"
#include "tests/harness/load/scripted_server.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using bakeoff::test::TempDir;

namespace {

std::vector<LogSession> read_all(const std::string& text, double think_s = 0) {
  std::istringstream in(text);
  SessionLogReader reader(in, "log", think_s);
  std::vector<LogSession> sessions;
  while (auto session = reader.next()) sessions.push_back(*session);
  return sessions;
}

}  // namespace

TEST_CASE("a log reads as httperf reads it") {
  const auto sessions = read_all(
      "\n\n# a comment\n"
      "\t/indented-first.html\n"
      "# ends nothing\n"
      "   /pict1.gif\n"
      "/next.html think=2.5\n"
      "\t/pict2.gif think=3s\n"
      " \t \n"
      "\n"
      "/other method=POSTAL contents='two words'\n"
      "/third contents=a\"b 'c\"d\\n method=PUT",
      1.5);
  REQUIRE(sessions.size() == 2);
  REQUIRE(sessions[0].bursts.size() == 2);
  REQUIRE(sessions[0].bursts[0].requests.size() == 2);
  REQUIRE(sessions[0].bursts[0].think_s == 1.5);
  REQUIRE(sessions[0].bursts[1].requests[1].uri == "/pict2.gif");
  REQUIRE(sessions[0].bursts[1].think_s == 3);  // the last one wins
  REQUIRE(sessions[1].bursts[0].requests[0].method == "POST");
  REQUIRE(sessions[1].bursts[0].requests[0].contents == "two words");
  REQUIRE(sessions[1].bursts[1].requests[0].contents == "ab 'cd\n");
  REQUIRE(sessions[1].bursts[1].requests[0].method == "PUT");
}

TEST_CASE("an escaped end of line goes on in the next one") {
  const auto sessions = read_all("/a contents='x\\\ny' think=4\n/b\n");
  REQUIRE(sessions.size() == 1);
  REQUIRE(sessions[0].bursts[0].requests[0].contents == "x\ny");
  REQUIRE(sessions[0].bursts[0].think_s == 4);
}

TEST_CASE("what is no argument is refused with its line") {
  for (const char* text : {"/a\n/b nonsense\n", "/a\n/b # comment\n", "/a\n/b method=FETCH\n", "/a\n/b think=x\n",
                           "/a\n/b method=\n", "/a\n/b contents=\\"}) {
    INFO(text);
    std::string message;
    try {
      read_all(text);
    } catch (const UsageError& error) {
      message = error.what();
    }
    REQUIRE(message.starts_with("log:2: "));
  }
}

TEST_CASE("what was read can be written and read again") {
  Random random(4);
  const std::string alphabet = "abc \t\n\r\"'\\=#";
  std::vector<LogSession> sessions(50);
  std::ostringstream out;
  for (LogSession& session : sessions) {
    session.bursts.resize(1 + random.below(4));
    for (LogBurst& burst : session.bursts) {
      burst.think_s = random.below(3) * 0.5;
      burst.requests.resize(1 + random.below(4));
      for (LogRequest& request : burst.requests) {
        request.uri = "/x" + std::to_string(random.below(100)) + "?#\x80";
        if (random.below(3) == 0) request.method = "POST";
        for (std::uint32_t length = random.below(12); length > 0; --length)
          request.contents += alphabet[random.below(static_cast<std::uint32_t>(alphabet.size()))];
      }
    }
    write_session(out, session, 0.5);
  }
  REQUIRE(read_all(out.str(), 0.5) == sessions);
}

TEST_CASE("of a burst the first request goes alone, the rest together, then the user thinks") {
  const TempDir dir;
  const std::string file = (dir.path() / "log").string();
  std::ofstream(file) << "/a think=2\n /b\n /c\n/d\n\n/e\n";
  const RequestFields fields(parse_url("http://h/"), {});
  LogModel model({file, 1, 3, 0, 1}, fields, nullptr, std::nullopt, 1);
  model.begin(0);
  const auto take = [&](std::uint32_t count) {
    std::string paths;
    for (std::uint32_t i = 0; i < count; ++i) {
      const ClientRequest& request = model.take(0);
      paths += std::string(request.text, request.text_bytes).substr(5, 1);
    }
    return paths;
  };
  Action action = model.next(0, 0);
  REQUIRE(action.count == 1);
  REQUIRE(take(1) == "a");
  action = model.next(0, 10);
  REQUIRE(action.count == 2);
  REQUIRE(take(2) == "bc");
  action = model.next(0, 20);
  REQUIRE(action.kind == Action::Kind::wait);
  REQUIRE(action.at_ns == 20 + 2'000'000'000);
  action = model.next(0, action.at_ns);
  REQUIRE(action.close_after);
  REQUIRE(take(1) == "d");
  // The second session, then the first template again.
  REQUIRE(model.next(0, 0).close_after);
  REQUIRE(take(1) == "e");
  REQUIRE(model.next(0, 0).count == 1);
  REQUIRE(take(1) == "a");
  REQUIRE_FALSE(model.finished());
  model.failed(0, 1, 0);
  REQUIRE(model.finished());
  REQUIRE(model.next(0, 0).kind == Action::Kind::end);
}

TEST_CASE("parts of a log together make the whole") {
  const TempDir dir;
  const std::string file = (dir.path() / "log").string();
  std::ofstream(file) << "/0\n\n/1\n\n/2\n";
  const RequestFields fields(parse_url("http://h/"), {});
  std::string seen[2];
  for (std::uint32_t part = 0; part < 2; ++part) {
    LogModel model({file, 0, 7, part, 2}, fields, nullptr, std::nullopt, 1);
    while (model.next(0, 0).kind == Action::Kind::send) seen[part] += model.take(0).text[5];
  }
  REQUIRE(seen[0] == "0210");
  REQUIRE(seen[1] == "102");
}

TEST_CASE("a log that is emptied or spoilt while it is replayed ends the replay, and no figure is lost") {
  for (const char* then : {"", "# gone\n", "/c x=1\n"}) {
    INFO(then);
    const TempDir dir;
    dir.write("log", "/a\n\n/b\n");
    const RequestFields fields(parse_url("http://h/"), {});
    LogModel model({(dir.path() / "log").string(), 0, 1000, 0, 1}, fields, nullptr, std::nullopt, 1);
    model.begin(0);
    for (int i = 0; i < 2; ++i) REQUIRE(model.next(0, 0).kind == Action::Kind::send);
    dir.write("log", then);
    REQUIRE(model.next(0, 0).kind == Action::Kind::end);
    REQUIRE(model.finished());
    REQUIRE(model.sessions().completed == 2);
    REQUIRE(model.sessions().log_lost);
  }
}

TEST_CASE("a log is replayed to its end, whatever the server does to its connections") {
  const TempDir dir;
  const std::string file = (dir.path() / "log").string();
  std::ofstream(file) << "/a\n /b\n /c\n /d\n/e\n\n/f\n /g\n";
  for (const int replies_per_connection : {1, 2, 1000}) {
    const ScriptedServer server([=](Conversation& talk) {
      for (int i = 1; !talk.request().empty(); ++i) {
        const bool last = i == replies_per_connection;
        talk.say(reply_with("hello", last ? "Connection: close\r\n" : ""));
        if (last) return;
      }
    });
    LoadSpec spec;
    spec.url = parse_url(server.url());
    spec.model = LoadModel::log;
    spec.log = std::make_shared<RereadableLog>(file, 0, 1);
    spec.log_sessions = 10;
    spec.connections = 2;
    spec.duration_ns = spec.warmup_ns = 0;
    spec.expected_bytes = ClientRequest::any_length;
    const std::atomic<bool> stop{false};
    const LoadResult result = run_load(spec, stop);
    REQUIRE(result.recorder.replies() == 5 * 5 + 5 * 2);
    REQUIRE(result.recorder.errors() == 0);
    REQUIRE(server.requests() == 35);
    REQUIRE(result.sessions.completed == 10);
  }
}

TEST_CASE("a log that is missing or empty is refused") {
  const TempDir dir;
  const std::string file = (dir.path() / "log").string();
  REQUIRE_THROWS_AS(RereadableLog(file, 0, 1), UsageError);
  std::ofstream(file) << "# nothing\n\n";
  REQUIRE_THROWS_AS(RereadableLog(file, 0, 1), UsageError);
  REQUIRE_THROWS_AS(RereadableLog(dir.path().string(), 0, 1), UsageError);
  // What is wrong among the sessions that will be replayed is told before, with its line.
  std::ofstream(file) << "/a\n\n/b\n\n/c what=ever\n";
  REQUIRE_NOTHROW(RereadableLog(file, 0, 2));
  try {
    const RereadableLog log(file, 0, 3);
    FAIL("it is read");
  } catch (const UsageError& error) {
    REQUIRE(std::string(error.what()).find(file + ":5: unknown argument") == 0);
  }
}

TEST_CASE("no text at all breaks the reader") {
  Random random(8);
  const std::string alphabet = "/a \t\n\n#='\"\\" + std::string(1, '\0') + "\xff";
  const std::vector<std::string> words = {"method=", "think=", "contents=", "GET", "POST", "1.5", "/x"};
  int refused = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::string text;
    for (std::uint32_t length = random.below(30); length > 0; --length) {
      if (random.below(3) == 0) text += words[random.below(static_cast<std::uint32_t>(words.size()))];
      text += alphabet[random.below(static_cast<std::uint32_t>(alphabet.size()))];
    }
    try {
      for (const LogSession& session : read_all(text)) {
        REQUIRE_FALSE(session.bursts.empty());
        for (const LogBurst& burst : session.bursts) REQUIRE_FALSE(burst.requests.empty());
      }
    } catch (const UsageError&) {
      ++refused;
    }
  }
  REQUIRE(refused > 100);
  REQUIRE(refused < 4'900);
}
