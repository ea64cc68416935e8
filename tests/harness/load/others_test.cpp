// What others made, beside ours: httperf replays the same session log against the same server, and HdrHistogram counts
// the same values. Where one of them is not installed, its case is skipped with a sentence.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "core/base/data_dir.h"
#include "core/base/random.h"
#include "harness/load/report.h"
#include "harness/load/session_log.h"
#include "results/hdr_encoding.h"
#include "tests/harness/load/runs.h"
#include "tests/support/child.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using bakeoff::test::TempDir;

namespace {

double number_after(const std::string& text, const std::string& label) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(label + "\\s*([0-9.]+)")) ? std::stod(match[1]) : -1;
}

// What each connection was asked for, one line each.
std::multiset<std::string> lines_of(const std::filesystem::path& file) {
  std::multiset<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.insert(line);
  return lines;
}

}  // namespace

TEST_CASE("httperf and bakeoff-load replay a session log alike, in requests, replies and bytes") {
  if (!test::is_installed("httperf")) {
    WARN("httperf is not installed (package httperf): this case is skipped");
    return;
  }
  const TempDir dir;
  std::string log = "# every kind of request, bursts and pauses\n";
  Random random(5);
  for (int session = 0; session < 12; ++session) {
    for (int burst = 0; burst <= static_cast<int>(random.below(3)); ++burst) {
      log += "/page" + std::to_string(session) + "_" + std::to_string(burst) + " think=0.0" +
             std::to_string(1 + random.below(5)) + "\n";
      for (int i = 0; i < static_cast<int>(random.below(6)); ++i) {
        const char* method = i % 3 == 0 ? "" : i % 3 == 1 ? " method=POST contents='two words\\n'" : " method=HEAD";
        log += "\t/part" + std::to_string(random.below(1000)) + method + "\n";
      }
    }
    log += "\n";
  }
  dir.write("log", log);
  const std::string file = (dir.path() / "log").string();
  constexpr std::uint64_t sessions = 30;  // more than the log has: it is gone through again
  const auto script = [&](const std::string& seen) {
    return [seen, field = std::regex("content-length: *(\\d+)", std::regex::icase)](Conversation& talk) {
      std::string asked;
      for (std::string head = talk.request(); !head.empty(); head = talk.request()) {
        std::smatch length;
        std::string body;
        if (std::regex_search(head, length, field)) body = talk.body(std::stoul(length[1]));
        if (!body.empty()) body.pop_back();  // the end of line
        asked += head.substr(0, head.find(" HTTP/")) + " " + body + " | ";
        const std::string reply = reply_with(std::string(path_of(head).size() * 100, 'x'));
        talk.say(head.starts_with("HEAD ") ? reply.substr(0, reply.find("\r\n\r\n") + 4) : reply);
      }
      std::ofstream(seen, std::ios::app) << asked + "\n" << std::flush;
    };
  };
  const auto theirs_file = dir.path() / "theirs", ours_file = dir.path() / "ours";
  const ScriptedServer first(script(theirs_file.string()));
  const std::string port = first.url().substr(first.url().rfind(':') + 1, 5);
  const test::Finished httperf =
      test::run({"httperf", "--hog", "--server", "127.0.0.1", "--port", std::to_string(std::stoi(port)),
                 "--wsesslog=" + std::to_string(sessions) + ",0.01," + file, "--rate", "100", "--timeout", "30"},
                60'000);
  INFO(httperf.output << httperf.errors);
  REQUIRE(httperf.status == 0);

  const LoadResult ours = run_against(script(ours_file.string()), [&](LoadSpec& spec) {
    spec.model = LoadModel::log;
    spec.log = std::make_shared<RereadableLog>(file, 0, 1);
    spec.log_sessions = sessions;
    spec.log_think_s = 0.01;
    spec.connections = sessions;
    spec.rate = RateProfile({{1, 100, 100}});
    spec.arrivals = Arrivals::fixed;
    spec.duration_ns = spec.warmup_ns = 0;
    spec.expected_bytes = ClientRequest::any_length;
  });
  const Recorder& recorder = ours.recorder;
  CHECK(recorder.errors() == 0);
  CHECK(number_after(httperf.output, "Errors: total") == 0);
  CHECK(static_cast<double>(recorder.classes()[0].attempts) == number_after(httperf.output, "requests"));
  CHECK(static_cast<double>(recorder.replies()) == number_after(httperf.output, "replies"));
  // httperf tells the mean without its fraction.
  CHECK(std::floor(static_cast<double>(recorder.body_bytes()) / static_cast<double>(recorder.replies())) ==
        number_after(httperf.output, "content"));
  CHECK(static_cast<double>(ours.sessions.completed) == sessions);
  REQUIRE(test::eventually(
      [&] { return lines_of(ours_file).size() == sessions && lines_of(theirs_file).size() == sessions; }));
  CHECK(lines_of(ours_file) == lines_of(theirs_file));
}

TEST_CASE("httperf's summary reads like httperf's own, line for line") {
  if (!test::is_installed("httperf")) {
    WARN("httperf is not installed: this case is skipped");
    return;
  }
  const TempDir dir;
  dir.write("log", "/a\n /b\n\n/c\n /d method=HEAD\n");
  const std::string log = "20,0.01," + (dir.path() / "log").string();
  const ScriptedServer server([](Conversation& talk) {
    for (std::string head = talk.request(); !head.empty(); head = talk.request()) {
      if (head.starts_with("HEAD ")) {
        talk.say("HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n");
      } else if (path_of(head) == "/b") {
        talk.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
      } else {
        talk.say(reply_with("hello"));
      }
    }
  });
  const std::string port = server.url("").substr(server.url("").rfind(':') + 1);
  const test::Finished theirs = test::run(
      {"httperf", "--hog", "--server", "127.0.0.1", "--port", port, "--wsesslog=" + log, "--rate", "100"}, 60'000);
  const std::string bin = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  const test::Finished ours = test::run({bin + "/bakeoff-load", server.url(), "--wsesslog", log, "--rate", "100",
                                         "--arrivals", "fixed", "--httperf-summary"});
  REQUIRE(theirs.status == 0);
  REQUIRE(ours.status == 0);
  CHECK(ours.errors.empty());
  // The words are the same, and so are the numbers that do not depend on the machine.
  const auto lines = [](const std::string& text) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  };
  const std::vector<std::string> our_lines = lines(ours.output), their_lines = lines(theirs.output);
  REQUIRE(our_lines.size() == their_lines.size());
  const std::regex number("[0-9]+(\\.[0-9]+)?");
  for (std::size_t i = 1; i < our_lines.size(); ++i) {
    INFO(our_lines[i] << " | " << their_lines[i]);
    CHECK(std::regex_replace(our_lines[i], number, "N") == std::regex_replace(their_lines[i], number, "N"));
  }
  const auto same_line = [&](const std::string& start) {
    const auto find = [&](const std::vector<std::string>& all) {
      for (const std::string& line : all)
        if (line.starts_with(start)) return line.substr(0, line.find(" test-duration"));
      return std::string("none");
    };
    CHECK(find(our_lines) == find(their_lines));
  };
  for (const char* start :
       {"Total:", "Connection length", "Reply status", "Errors: total", "Errors: fd", "Session:", "Session length"})
    same_line(start);
}

TEST_CASE("HdrHistogram counts the same values to the same percentiles, merged or whole") {
  const auto modules = data_dir() / "build/peers/node_modules";
  if (!test::is_installed("node") || !std::filesystem::exists(modules / "hdr-histogram-js")) {
    WARN("hdr-histogram-js is not installed (npm install --prefix build/peers hdr-histogram-js): this case is skipped");
    return;
  }
  const TempDir dir;
  Histogram even, odd;
  std::string values;
  Random random(11);
  for (int i = 0; i < 20'000; ++i) {
    // From nanoseconds to minutes, evenly over the octaves, and some the same.
    const auto value = static_cast<std::int64_t>(i % 10 == 0 ? 1'000'000 : std::exp(random.unit() * 25));
    (i % 2 == 0 ? even : odd).record(value);
    values += std::to_string(value) + "\n";
  }
  even.merge(odd);
  const Histogram& histogram = even;
  dir.write("values", values);
  dir.write("log", to_hdr_log(histogram, 1000, 10));
  const test::Finished node = test::run({"/usr/bin/env", "NODE_PATH=" + modules.string(), "node",
                                         (data_dir() / "tests/harness/load/hdr_histogram.js").string(),
                                         (dir.path() / "values").string(), (dir.path() / "log").string()},
                                        60'000);
  INFO(node.errors);
  REQUIRE(node.status == 0);
  const auto theirs = nlohmann::json::parse(node.output);
  CHECK(histogram.count() == theirs.at("count"));
  // What it tells as its mean, deviation and maximum are of its buckets, which are a thousandth wide.
  CHECK(histogram.mean_ns() == Approx(theirs.at("mean").get<double>()).epsilon(0.001));
  CHECK(static_cast<double>(histogram.max_ns()) == Approx(theirs.at("max").get<double>()).epsilon(0.001));
  for (const auto& [share, value] : theirs.at("percentiles").items()) {
    INFO(share);
    // The same buckets: the same number, but that theirs gives the bucket's edge where ours stops at the
    // greatest value.
    CHECK(histogram.percentile_ns(std::stod(share) / 100) == std::min(value.get<std::uint64_t>(), histogram.max_ns()));
  }

  // Our log, read by HdrHistogram, holds the histogram that it counted itself; the encoding has buckets, no
  // exact maximum.
  CHECK(theirs.at("decoded").at("count") == theirs.at("count"));
  CHECK(theirs.at("decoded").at("max") == theirs.at("percentiles").at("100"));
  CHECK(theirs.at("decoded").at("mean") == theirs.at("mean"));
  CHECK(theirs.at("decoded").at("percentiles") == theirs.at("percentiles"));

  // The percentile file: the same lines, by value, share and count.
  std::ostringstream hgrm;
  write_hgrm(hgrm, histogram);
  const auto rows = [](const std::string& text) {
    std::vector<std::array<double, 3>> found;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::array<double, 3> row{};
      if (words >> row[0] >> row[1] >> row[2]) found.push_back(row);
    }
    return found;
  };
  const auto own = rows(hgrm.str()), other = rows(theirs.at("hgrm").get<std::string>());
  REQUIRE(own.size() == other.size());
  for (std::size_t i = 0; i < own.size(); ++i) {
    INFO("line " << i);
    CHECK(own[i][0] == Approx(other[i][0]).epsilon(0.001).margin(0.001));
    CHECK(own[i][1] == Approx(other[i][1]).margin(1e-9));
    CHECK(own[i][2] == other[i][2]);
  }
  CHECK(number_after(hgrm.str(), "StdDeviation   =") ==
        Approx(theirs.at("deviation").get<double>() * 1e-6).epsilon(0.001));
}
