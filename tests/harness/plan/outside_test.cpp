#include "harness/plan/outside.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

TEST_CASE("words between @ are filled in, and one that is not a placeholder is an error") {
  const std::map<std::string, std::string> values = {{"port", "80"}, {"root", "/srv"}};
  CHECK(fill_in("listen @port@; root @root@;", values, "x") == "listen 80; root /srv;");
  CHECK(fill_in("a@b.c 50% @ @port@@root@", values, "x") == "a@b.c 50% @ 80/srv");
  CHECK_THROWS_WITH(fill_in("listen @prt@;", values, "nginx.toml: nginx.conf"),
                    "nginx.toml: nginx.conf: @prt@ is not a placeholder");
}

TEST_CASE("the shipped outside servers can be read and prepared") {
  const auto servers = list_outside();
  CHECK(servers.size() >= 4);
  Cell cell;
  cell.workers = 3;
  cell.connections = 64;
  for (OutsideServer server : servers) {
    CAPTURE(server.name);
    server.programs = {"/bin/true"};  // whether it is installed or not
    const test::TempDir dir;
    const auto command = prepare_outside(server, cell, "/srv/files", dir.path(), 8081);
    CHECK(command.front() == "/bin/true");
    std::string all;
    for (const auto& [name, text] : server.files) {
      std::ifstream in(dir.path() / name);
      all += std::string{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    CHECK(all.find("8081") != std::string::npos);
    CHECK(all.find("/srv/files") != std::string::npos);
    CHECK(all.find('@') == std::string::npos);
    server.programs = {"/no/such/program"};
    CHECK_THROWS_WITH(server.program(),
                      Catch::Contains("is not installed; on Debian: apt-get install " + server.package));
  }
  CHECK_THROWS_WITH(load_outside("no-such-server"), Catch::Contains(", nginx, or give a path"));
  CHECK_THROWS_WITH(load_outside("ngnix"), "there is no outside server `ngnix`; did you mean `nginx`?");
}

TEST_CASE("a server of others may be of no package, and its program is named by a whole path") {
  const test::TempDir dir;
  const auto load = [&](const std::string& program) {
    dir.write("own.toml", "title = \"mine\"\nprogram = " + program + "\narguments = \"@port@\"\n");
    return load_outside((dir.path() / "own.toml").string());
  };
  CHECK(load("\"/bin/true\"").program() == "/bin/true");
  CHECK(load("[\"/no/such\", \"/bin/true\"]").is_installed());
  CHECK_THROWS_WITH(load("[\"/no/such\", \"/bin\"]").program(),
                    "own is not installed; there is no program /no/such or /bin");
  for (const char* program : {"\"true\"", "\"./true\"", "[\"/bin/true\", \"../true\"]", "\"\""})
    CHECK_THROWS_WITH(load(program), Catch::Contains("own.toml:2:11: program: expected whole paths"));
  CHECK_THROWS_WITH(load("[]"), Catch::Contains("own.toml:2:11: program: expected"));
  OutsideServer packaged = load("\"/no/such\"");
  packaged.name = "packaged";
  packaged.package = "a-package";
  CHECK_THROWS_WITH(require_installed({packaged, load("\"/no/other\"")}),
                    "packaged, own are not installed; on Debian: apt-get install a-package; there is no program "
                    "/no/other");
}

TEST_CASE("congestion control is set on a listening socket of another process") {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(listen(listener, 1) == 0);
  REQUIRE(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const std::uint16_t port = ntohs(address.sin_port);
  set_congestion_of_listener(getpid(), port, "reno");
  char name[16] = {};
  length = sizeof name;
  REQUIRE(getsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0);
  CHECK(std::string(name) == "reno");
  CHECK_THROWS_WITH(set_congestion_of_listener(getpid(), port, "no-such"),
                    Catch::StartsWith("cannot set congestion control no-such"));
  close(listener);
  CHECK_THROWS_AS(set_congestion_of_listener(getpid(), port, "reno"), StartError);
}
