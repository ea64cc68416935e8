// Many connections at once, each served again and again.
#include <sys/resource.h>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

TEST_CASE("five thousand keep-alive connections are served at once", "[scale]") {
  // The thread sanitizer keeps a megabyte for each user-level thread.
  const int connections = sanitized && suite().thread_per_connection ? 1000 : 5000;
  rlimit descriptors{};
  suite();  // raises the limit
  getrlimit(RLIMIT_NOFILE, &descriptors);
  if (descriptors.rlim_cur < static_cast<rlim_t>(connections) + 100) {
    WARN("this process may open " << descriptors.rlim_cur << " descriptors only (ulimit -n): the case is skipped");
    return;
  }
  Server server = serve({{"connections", std::to_string(connections + 1000)}, {"idle-timeout", "300s"}});
  std::vector<Client> clients;
  for (int i = 0; i < connections; ++i) {
    clients.push_back(server.connect());
    clients.back().send(request(sized(1024)));
    // The newest first, then all: a server that looks only at low descriptors shows here.
    if (i % 500 == 499) REQUIRE((clients.back().read_reply().body == sized_content(1024)));
  }
  for (int i = 0; i < connections; ++i) {
    if (i % 500 != 499) REQUIRE((clients[static_cast<std::size_t>(i)].read_reply().body == sized_content(1024)));
  }
  CHECK(eventually([&] { return static_cast<int>(server.connections()) == connections; }));
  for (Client& client : clients) REQUIRE(client.send(request(sized(10240))));
  for (Client& client : clients) REQUIRE((client.read_reply().body == sized_content(10240)));
  // One that is busy among many that idle.
  for (int i = 0; i < 100; ++i)
    REQUIRE(clients[static_cast<std::size_t>(connections) * 4 / 5].get(sized(102)).status == 200);
  clients.clear();
  wait_for_connections(server, 0);
  CHECK(finish(server).at("total").at("replies") == 2 * connections + 100);
}

}  // namespace bakeoff::conformance
