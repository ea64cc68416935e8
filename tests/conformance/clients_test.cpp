// Clients that others wrote, each until it has its replies, without an error.
#include <regex>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

constexpr int requests = sanitized ? 1000 : 10'000;
constexpr int time_ms = 180'000;  // httperf spins while it waits: a busy machine makes that long

bool missing(const std::string& command, const std::string& package) {
  if (is_installed(command)) return false;
  WARN(command << " is not installed (package " << package << "): this case is skipped");
  return true;
}

std::string url(const Server& server, const std::string& target) {
  return "http://127.0.0.1:" + std::to_string(server.port()) + target;
}

// The number that follows `label` in a client's report; -1 when there is none.
long number_after(const std::string& text, const std::string& label) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(label + "\\s*(\\d+)")) ? std::stol(match[1]) : -1;
}

void check_requests(Server& server) {
  CHECK(finish(server).at("total").at("replies_by_status").value("200", 0) >= requests);
}

}  // namespace

TEST_CASE("curl gets files with the right bytes", "[clients]") {
  if (missing("curl", "curl")) return;
  Server server = serve();
  for (const char* version : {"--http1.1", "--http1.0"}) {
    for (const std::size_t bytes : sizes) {
      INFO(version << " " << bytes << " bytes");
      const Finished curl =
          run({"curl", "-sS", "--fail", version, url(server, sized(bytes)), url(server, sized(bytes))}, time_ms);
      CHECK(curl.status == 0);
      CHECK(curl.errors == "");
      CHECK((curl.output == sized_content(bytes) + sized_content(bytes)));
    }
  }
  CHECK(run({"curl", "-sS", "--fail", url(server, "/missing")}, time_ms).status == 22);
  const Finished posted =
      run({"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data", "a=b", url(server, "/")}, time_ms);
  CHECK(posted.output == "405");
  finish(server);
}

TEST_CASE("wrk completes its requests", "[clients]") {
  if (missing("wrk", "wrk")) return;
  Server server = serve();
  const Finished wrk = run({"wrk", "-t1", "-c16", "-d2s", url(server, sized(1024))}, time_ms);
  INFO(wrk.output << wrk.errors);
  CHECK(wrk.status == 0);
  CHECK(wrk.output.find("Socket errors") == std::string::npos);
  CHECK(wrk.output.find("Non-2xx") == std::string::npos);
  // wrk takes its time and not a number: how many come depends on the machine.
  std::smatch counted;
  REQUIRE(std::regex_search(wrk.output, counted, std::regex("(\\d+) requests in")));
  CHECK(std::stol(counted[1]) > 100);
  CHECK(finish(server).at("total").at("replies_by_status").value("200", 0) >= std::stol(counted[1]));
}

TEST_CASE("ab completes its requests with keep-alive", "[clients]") {
  if (missing("ab", "apache2-utils")) return;
  Server server = serve();
  const Finished ab =
      run({"ab", "-q", "-k", "-n", std::to_string(requests), "-c", "16", url(server, sized(1024))}, time_ms);
  INFO(ab.output << ab.errors);
  CHECK(ab.status == 0);
  CHECK(number_after(ab.output, "Complete requests:") == requests);
  CHECK(number_after(ab.output, "Failed requests:") == 0);
  CHECK(number_after(ab.output, "Keep-Alive requests:") == requests);
  check_requests(server);
}

TEST_CASE("httperf completes its requests", "[clients]") {
  if (missing("httperf", "httperf")) return;
  Server server = serve();
  const Finished httperf = run({"httperf", "--server", "127.0.0.1", "--port", std::to_string(server.port()), "--uri",
                                sized(1024), "--num-conns", "10", "--num-calls", std::to_string(requests / 10)},
                               time_ms);
  INFO(httperf.output << httperf.errors);
  CHECK(httperf.status == 0);
  CHECK(number_after(httperf.output, "replies") == requests);
  CHECK(number_after(httperf.output, "Errors: total") == 0);
  check_requests(server);
}

TEST_CASE("h2load completes its requests over HTTP/1.1", "[clients]") {
  if (missing("h2load", "nghttp2-client")) return;
  Server server = serve();
  const Finished h2load =
      run({"h2load", "--h1", "-n", std::to_string(requests), "-c", "16", "-m", "4", url(server, sized(1024))}, time_ms);
  INFO(h2load.output << h2load.errors);
  CHECK(h2load.status == 0);
  CHECK(h2load.output.find(std::to_string(requests) + " succeeded, 0 failed, 0 errored, 0 timeout") !=
        std::string::npos);
  check_requests(server);
}

}  // namespace bakeoff::conformance
