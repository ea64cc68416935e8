#include "tests/conformance/suite.h"

#include <sys/resource.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <stdexcept>

namespace bakeoff::conformance {

namespace {

// Enough for every case that does not ask for thousands.
constexpr int pool_workers = 64;

Suite read_environment() {
  Suite result;
  const char* binary = std::getenv("BAKEOFF_TEST_SERVER");
  if (binary == nullptr) throw std::runtime_error("BAKEOFF_TEST_SERVER must name the server binary to test");
  result.binary = binary;
  const char* options = std::getenv("BAKEOFF_TEST_OPTIONS");
  std::istringstream words(options != nullptr ? options : "");
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos)
      throw std::runtime_error("BAKEOFF_TEST_OPTIONS: \"" + word + "\" is not name=value");
    result.options[word.substr(0, equals)] = word.substr(equals + 1);
  }
  result.preset = std::getenv("BAKEOFF_TEST_PRESET") != nullptr;
  result.description = nlohmann::json::parse(run({result.binary, "--describe"}).output);
  result.architecture = result.description.at("architecture").get<std::string>();

  const auto& workers = result.description.at("workers");
  result.connection_per_worker = result.description.at("connections_are_workers");
  result.processes = workers.at("meaning").get<std::string>().find("process") != std::string::npos;
  if (result.preset) {
    // As the preset has it.
  } else if (result.connection_per_worker) {
    result.options["workers"] = std::to_string(pool_workers);
  } else if (result.processes && workers.at("max") > 1 && !result.has("helpers")) {
    result.options["workers"] = "2";
  }
  // Where each connection has a thread, all of them are made when the server starts, which it does for nearly every
  // case; to a sanitizer each is a megabyte.
  result.thread_per_connection = result.description.at("connections_are_threads");
  if (result.thread_per_connection && (!result.preset || sanitized)) result.options["connections"] = "500";
  const int pool = result.options.count("workers") != 0 ? std::stoi(result.options["workers"]) : 0;
  result.most_connections = result.connection_per_worker ? pool : result.thread_per_connection ? 500 : 10'000;

  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  return result;
}

}  // namespace

std::vector<std::string> Suite::values(const std::string& factor) const {
  if (const auto fixed = options.find(factor); fixed != options.end()) return {fixed->second};
  const auto& factors = description.at("options");
  auto all = factors.contains(factor) ? factors.at(factor).get<std::vector<std::string>>() : std::vector<std::string>{};
  if (preset && all.size() > 1) all.resize(1);
  return all;
}

const Suite& suite() {
  static const Suite the_suite = read_environment();
  return the_suite;
}

const std::vector<std::size_t> sizes = {0,     1,     102,   1024,  1447,  1448,  1449,   4095,      4096,      4097,
                                        10240, 16384, 32768, 65535, 65536, 65537, 262144, 1'048'576, 20'971'520};

std::string sized(std::size_t bytes) { return "/size-" + std::to_string(bytes) + ".bin"; }

const std::string& sized_content(std::size_t bytes) {
  static std::map<std::size_t, std::string> contents;
  auto found = contents.find(bytes);
  if (found == contents.end()) found = contents.emplace(bytes, test_content(sized(bytes), bytes)).first;
  return found->second;
}

const Site& site() {
  static const Site* the_site = [] {
    auto* made = new Site;
    // Removed by the exit of the process; cases that change files make directories of their own.
    std::atexit([] { delete &site(); });
    made->root = (made->directory.path() / "root").string();
    made->secret = "top secret: a3f1c79e5b";
    const auto write = [made](const std::string& name, std::string_view content) {
      made->directory.write("root/" + name, content);
    };
    for (const std::size_t bytes : sizes) write(sized(bytes).substr(1), sized_content(bytes));
    write("index.html", "<title>the root's index</title>\n");
    write("sub/index.html", "<title>the index of sub</title>\n");
    write("sub/deep/file.txt", "a file two directories down\n");
    write("empty/deep/file.txt", "beneath a directory without an index\n");
    write("smuggled.txt", "smuggled: no client asked for this");
    made->directory.write("secret.txt", made->secret);
    return made;
  }();
  return *the_site;
}

namespace {

Options of_this_run_and(const Options& more) {
  Options options = suite().options;
  for (const auto& [name, value] : more) options[name] = value;
  return options;
}

}  // namespace

Server serve_directory(const std::string& root, const Options& more, Child::Settings settings) {
  return Server(suite().binary, root, of_this_run_and(more), settings);
}

std::unique_ptr<Server> serve_unless_refused(const Options& more, const std::string& root) {
  std::unique_ptr<Server> server;
  try {
    server = std::make_unique<Server>(suite().binary, root, of_this_run_and(more));
  } catch (const NotReady& refused) {
    CHECK(refused.status == 2);
    CHECK(std::count(refused.errors.begin(), refused.errors.end(), '\n') == 1);
  }
  return server;
}

Server serve(const Options& more) { return serve_directory(site().root, more); }

nlohmann::json finish(Server& server, Said said) {
  const Server::Stopped stopped = server.stop();
  CHECK(stopped.status == 0);
  if (said == Said::nothing) CHECK(stopped.errors == "");
  std::istringstream lines(stopped.errors);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(line.find("was killed by signal 9") != std::string::npos);
  }
  CHECK(stopped.left_running == 0);
  REQUIRE(stopped.statistics.is_object());
  return stopped.statistics;
}

void wait_for_connections(const Server& server, std::size_t left) {
  Server::Sockets sockets;
  const bool settled = eventually([&] {
    sockets = server.sockets();
    return sockets.to_accept == 0 && sockets.held.size() == left;
  });
  for (const std::string& connection : sockets.held) UNSCOPED_INFO(connection);
  if (!settled)
    FAIL_CHECK(sockets.held.size() << " connections are held, not " << left << ", and " << sockets.to_accept
                                   << " wait");
}

std::string in_words(const Options& options) {
  std::string text;
  for (const auto& [name, value] : options) text += (text.empty() ? "" : " ") + name + "=" + value;
  return text;
}

std::vector<Options> combinations(const std::vector<std::string>& factors) {
  std::vector<Options> result{{}};
  for (const std::string& factor : factors) {
    std::vector<Options> longer;
    for (const Options& options : result) {
      for (const std::string& value : suite().values(factor)) {
        longer.push_back(options);
        longer.back()[factor] = value;
      }
    }
    if (!longer.empty()) result = std::move(longer);
  }
  return result;
}

std::vector<Reply> converse(const Server& server, std::string_view bytes) {
  Client client = server.connect();
  client.send(bytes);
  client.end_sending();
  std::string received = client.read_to_end();
  std::vector<Reply> replies;
  while (!received.empty()) replies.push_back(take_reply(received, false, true).value());
  return replies;
}

}  // namespace bakeoff::conformance
