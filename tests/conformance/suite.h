// What the cases of the suite share: the server under test, as the environment names it, and the files it serves.
//   BAKEOFF_TEST_SERVER   path of the server binary
//   BAKEOFF_TEST_OPTIONS  factors of this run, "name=value" with spaces between them
//   BAKEOFF_TEST_PRESET   set: the factors are a preset's, and those that it does not name keep their defaults
// Cases tagged [once] look at what no event mechanism has a part in; [scale], [clients], [workers] and [blocking] are
// entries of their own; [preset] cases are run with every preset. Everything else is run with every event mechanism,
// and what sends bodies with every body strategy.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/catch.h"
#include "tests/support/client.h"
#include "tests/support/clock.h"
#include "tests/support/server.h"
#include "tests/support/temp_dir.h"

namespace bakeoff::conformance {

using namespace bakeoff::test;

struct Suite {
  std::string binary;
  std::string architecture;
  Options options;             // of this run
  nlohmann::json description;  // what --describe says
  // The most connections that the server can serve at once with the workers it is given here: bounded where each
  // connection holds a worker for its life.
  int most_connections;
  bool connection_per_worker;
  bool thread_per_connection;  // made when the server starts
  bool processes;              // its workers are processes
  bool preset = false;

  // The values of a factor, the default first; only the given one when this run fixes it. Empty: it has no
  // meaning there.
  std::vector<std::string> values(const std::string& factor) const;
  bool has(const std::string& factor) const { return !values(factor).empty(); }
};

const Suite& suite();

// A document root and its surroundings, made once per run:
//   root/            served
//   secret.txt       outside of it, and never to be seen in a reply
struct Site {
  TempDir directory;
  std::string root;
  std::string secret;  // content of secret.txt
};

const Site& site();

// Sizes of the files "size-N.bin" at the root: around the borders of one segment, one buffer, one pipe, 64 KB; and
// large ones.
extern const std::vector<std::size_t> sizes;
std::string sized(std::size_t bytes);  // "/size-N.bin"
const std::string& sized_content(std::size_t bytes);

// Starts the server under test at the site with this run's options and these.
Server serve(const Options& more = {});
Server serve_directory(const std::string& root, const Options& more = {}, Child::Settings settings = {});

// As serve(); nothing when the server refuses the combination as meaningless, which it must do in one line.
std::unique_ptr<Server> serve_unless_refused(const Options& more, const std::string& root = site().root);

// Ends the server and checks that it ended well: status 0, one line of statistics, no process left, and nothing said
// on standard error but what the case has provoked. Returns the statistics.
enum class Said { nothing, that_workers_were_killed };
nlohmann::json finish(Server& server, Said said = Said::nothing);

// Waits until the server has closed all its connections but `left`.
void wait_for_connections(const Server& server, std::size_t left);

// "body=mmap send=blocking" for INFO.
std::string in_words(const Options& options);

// Every combination of the values of these factors that the server has.
std::vector<Options> combinations(const std::vector<std::string>& factors);

// Sends the bytes, ends the sending direction, and takes all replies until the server ends the connection.
// Throws when one is malformed. Replies to HEAD must not be among them.
std::vector<Reply> converse(const Server& server, std::string_view bytes);

}  // namespace bakeoff::conformance
