// What defines SEDA, on a disk that blocks on command: expensive requests are held back and shed, cheap ones go on; and
// the pool of a stage follows its queue.
#include <poll.h>

#include <filesystem>
#include <list>

#include "tests/catch.h"
#include "tests/support/clock.h"
#include "tests/support/held_disk.h"
#include "tests/support/server.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff::test;

namespace {

std::string program(const std::string& name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

bool has_bytes(const Client& client) {
  pollfd waiting{client.fd(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

std::string cheap(int number) { return "/cheap-" + std::to_string(number); }
std::string costly(int number) { return "/costly-" + std::to_string(number); }

class Bench {
 public:
  Bench(const Options& options, int costly_files)
      : root_(make_files(directory_, costly_files)), server(program("seda"), root_, options), disk(root_) {
    for (int i = 0; i < 4; ++i) REQUIRE(server.get(cheap(i)).status == 200);  // hits from now on
  }

  // Clients that ask for costly files of their own, none of which was asked for before.
  void ask_for_misses(int count) {
    for (int i = 0; i < count; ++i) {
      clients.push_back(server.connect());
      clients.back().send(request(costly(asked_++)));
    }
  }

  std::size_t threads() const {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(server.pid()) + "/task");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

 private:
  static std::string make_files(const TempDir& directory, int costly_files) {
    for (int i = 0; i < 4; ++i) directory.write("root/" + cheap(i).substr(1), std::string(100, 'c'));
    for (int i = 0; i < costly_files; ++i) directory.write("root/" + costly(i).substr(1), std::string(2000, 'x'));
    return (directory.path() / "root").string();
  }

  TempDir directory_;
  std::string root_;
  int asked_ = 0;

 public:
  Server server;
  HeldDisk disk;
  std::list<Client> clients;
};

}  // namespace

TEST_CASE("with misses held back SEDA serves hits, and sheds misses beyond its bound") {
  if (!HeldDisk::is_possible()) return;
  Bench bench({{"workers", "2"}, {"queue-bound", "4"}, {"thread-control", "0s"}, {"body", "buffer"}}, 12);
  bench.disk.hold("costly");
  bench.ask_for_misses(2);
  REQUIRE(eventually([&] { return bench.disk.waiting() == 2; }));  // both threads of the miss stage

  // Of ten more the queue has room for four; which ones, the threads of the stages before decide.
  bench.ask_for_misses(10);
  std::list<Client> shed;
  REQUIRE(eventually([&] {
    for (auto one = bench.clients.begin(); one != bench.clients.end();) {
      const auto client = one++;
      if (has_bytes(*client)) shed.splice(shed.end(), bench.clients, client);
    }
    return shed.size() == 6;
  }));
  for (Client& client : shed) {
    const Reply reply = client.read_reply();
    CHECK(reply.status == 503);
    CHECK(reply.header("retry-after") == "1");
    CHECK(reply.keep_alive());
    CHECK(client.get(cheap(1)).status == 200);  // the same connection, with a cheap request
  }
  for (int i = 0; i < 50; ++i) CHECK(bench.server.get(cheap(i % 4)).status == 200);
  CHECK(bench.disk.waiting() == 2);
  for (Client& client : bench.clients) CHECK_FALSE(has_bytes(client));

  bench.disk.release();
  REQUIRE(bench.clients.size() == 6);
  for (Client& client : bench.clients) {
    const Reply reply = client.read_reply();
    CHECK(reply.status == 200);
    CHECK(reply.body == std::string(2000, 'x'));
  }
  for (Client& client : shed) CHECK(client.get(costly(0)).status == 200);
  const Server::Stopped stopped = bench.server.stop();
  CHECK(stopped.status == 0);
  CHECK(stopped.statistics.at("total").at("shed") == 6);
  CHECK(stopped.statistics.at("total").at("replies_by_status").at("503") == 6);
}

TEST_CASE("a stage's pool grows while its queue stays long, up to its most, and shrinks again") {
  if (!HeldDisk::is_possible()) return;
  Bench bench({{"workers", "6"}, {"queue-bound", "1000"}, {"thread-control", "20ms"}, {"body", "buffer"}}, 60);
  const std::size_t threads_before = bench.threads();
  bench.disk.hold("costly");
  bench.ask_for_misses(60);
  CHECK(eventually([&] { return bench.disk.waiting() == 6; }));  // a thread each; one in the beginning
  CHECK(bench.server.get(cheap(0)).status == 200);
  bench.disk.release();
  for (Client& client : bench.clients) CHECK(client.read_reply().status == 200);
  CHECK(eventually([&] { return bench.threads() == threads_before; }));
  CHECK(bench.server.get(cheap(0)).status == 200);
  const nlohmann::json total = bench.server.stop().statistics.at("total");
  CHECK(total.at("stage_threads_added") >= 5);
  CHECK(total.at("stage_threads_added") == total.at("stage_threads_ended"));
}

TEST_CASE("the overload controller admits misses at its rate, and hits at any") {
  if (!HeldDisk::is_possible()) return;
  Bench bench({{"overload-target", "1s"}, {"thread-control", "0s"}, {"body", "buffer"}}, 400);
  // The bucket holds ten, and ten come in a second: 400 would take 39 seconds.
  const std::int64_t begun_ms = now_ms();
  bench.ask_for_misses(400);
  int served = 0, refused = 0;
  for (Client& client : bench.clients) {
    const Reply reply = client.read_reply();
    served += reply.status == 200 ? 1 : 0;
    refused += reply.status == 503 ? 1 : 0;
  }
  const auto seconds = static_cast<double>(now_ms() - begun_ms) * 1e-3;
  CHECK(served + refused == 400);
  CHECK(served >= 10 - 4);                 // four went for the cheap files, which were misses once
  CHECK(served <= 10 + 15 * seconds + 1);  // the rate has gone up by a half each second
  for (int i = 0; i < 50; ++i) CHECK(bench.server.get(cheap(i % 4)).status == 200);
  CHECK(bench.server.stop().statistics.at("total").at("shed") == refused);
}
