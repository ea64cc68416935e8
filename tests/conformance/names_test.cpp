// From a target to a file, and never to one outside of the root (RFC 3986, 5.2.4 and 6.2.2).
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>
#include <filesystem>
#include <set>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

namespace fs = std::filesystem;

// A connection for each target: a refusal may end it.
Reply ask(const Server& server, const std::string& target) {
  Client client = server.connect();
  client.send(request(target, "Connection: close\r\n"));
  Reply reply = client.read_reply();
  CHECK(client.ended_silently());
  return reply;
}

void check_refused(const Reply& reply) {
  CHECK((reply.status == 400 || reply.status == 403 || reply.status == 404));
  CHECK(reply.body.find(site().secret) == std::string::npos);
}

}  // namespace

TEST_CASE("targets name files by their normal form", "[once]") {
  TempDir root;
  const std::pair<const char*, const char*> files[] = {
      {"index.html", "index"},     {"sub/index.html", "sub's index"},
      {"sub/file.txt", "file"},    {"with space.txt", "space"},
      {"100%.txt", "percent"},     {"%41.txt", "not decoded twice"},
      {"A.txt", "decoded"},        {"a+b.txt", "plus"},
      {"what?.txt", "question"},   {"n\xc3\xbcrnberg.txt", "utf-8"},
      {"...", "three dots"},       {".hidden", "hidden"},
      {"a..b/c..", "dots inside"}, {"semi;colon=1.txt", "semicolon"},
      {"~user.txt", "tilde"},      {"sub/with#hash", "hash"},
  };
  for (const auto& [name, content] : files) root.write(name, content);
  Server server = serve_directory(root.path().string());

  const std::pair<const char*, const char*> found[] = {
      {"/", "index"},
      {"/index.html", "index"},
      {"/?query", "index"},
      {"/sub/", "sub's index"},
      {"/sub/?a=b", "sub's index"},
      {"/sub/.", "sub's index"},
      {"/sub/./file.txt", "file"},
      {"/sub/../sub/file.txt", "file"},
      {"/sub/x/../file.txt", "file"},
      {"/sub/%2e/file.txt", "file"},
      {"/x/%2e%2e/sub/file.txt", "file"},
      {"/x/.%2E/sub/file.txt", "file"},
      {"/sub/file.txt?x=/../../y", "file"},
      {"/sub/file.txt?%00", "file"},
      {"/sub/file.txt?", "file"},
      {"/sub/file.txt??a?b", "file"},
      {"/%73%75b/fil%65.txt", "file"},
      {"/with%20space.txt", "space"},
      {"/100%25.txt", "percent"},
      {"/%2541.txt", "not decoded twice"},
      {"/%41.txt", "decoded"},
      {"/a+b.txt", "plus"},
      {"/what%3F.txt", "question"},
      {"/what%3f.txt?v=1", "question"},
      {"/n%C3%BCrnberg.txt", "utf-8"},
      {"/n%c3%bcrnberg.txt", "utf-8"},
      {"/...", "three dots"},
      {"/a..b/c..", "dots inside"},
      {"/semi;colon=1.txt", "semicolon"},
      {"/~user.txt", "tilde"},
      {"/%7Euser.txt", "tilde"},
      {"/sub/with%23hash", "hash"},
      {"http://localhost/sub/file.txt", "file"},
      {"http://localhost:80/sub/file.txt?q", "file"},
      {"http://localhost", "index"},
      {"HTTP://LOCALHOST/", "index"},
  };
  for (const auto& [target, content] : found) {
    INFO(target);
    // Twice: a cache must mean the same by a name as the file system.
    for (int round = 0; round < 2; ++round) {
      const Reply reply = ask(server, target);
      CHECK(reply.status == 200);
      CHECK(reply.body == content);
    }
  }
  for (const char* target :
       {"/missing", "/sub/missing", "/index.html/x", "/sub/file.txt/", "/SUB/file.txt", "/missing/../missing/"}) {
    INFO(target);
    CHECK(ask(server, target).status == 404);
  }
  for (const char* target :
       {"/%", "/%4", "/%zz", "/sub/%g0.txt", "/%00", "/index.html%00.txt", "/sub%00/../index.html"}) {
    INFO(target);
    CHECK(ask(server, target).status == 400);
  }
  // A directory without its slash is not the directory's page: relative links in it would go wrong.
  const Reply slashless = ask(server, "/sub");
  CHECK((slashless.status == 301 || slashless.status == 403 || slashless.status == 404));
  if (slashless.status == 301) CHECK(slashless.header("location") == "/sub/");
  const Reply with_query = ask(server, "/sub?a=b");
  CHECK(with_query.status == slashless.status);
  // Names that are too long for a file system are names of nothing.
  CHECK(ask(server, "/" + std::string(256, 'n')).status == 404);
  const Reply long_name = ask(server, "/" + std::string(1900, 'n'));
  CHECK((long_name.status == 404 || long_name.status == 414));
  finish(server);
}

TEST_CASE("a directory without an index is not listed", "[once]") {
  Server server = serve();
  const Reply reply = ask(server, "/empty/");
  CHECK((reply.status == 403 || reply.status == 404));
  CHECK(reply.body.find("deep") == std::string::npos);
  CHECK(ask(server, "/empty/deep/file.txt").status == 200);
  finish(server);
}

TEST_CASE("no spelling of a target leads out of the root", "[once]") {
  Server server = serve();
  const std::string up[] = {"..",    "%2e%2e", "%2E%2E",     ".%2e",         "%2e.", "..%2f",  "%2e%2e%2f",
                            "..%5c", "..\\",   "%252e%252e", "%c0%ae%c0%ae", "..;",  "....//", "..%00"};
  std::set<std::string> targets = {"/..",
                                   "/../",
                                   "/sub/../..",
                                   "/sub/../../",
                                   "http://localhost/../secret.txt",
                                   "http://localhost/%2e%2e/secret.txt",
                                   "//secret.txt",
                                   "/./../secret.txt",
                                   "/sub/deep/../../../secret.txt",
                                   "/%2fsecret.txt",
                                   "/..//secret.txt",
                                   "/sub//..//..//secret.txt",
                                   "///../secret.txt",
                                   "/%2f../secret.txt"};
  for (const std::string& step : up) {
    for (const std::string prefix : {"/", "//", "/sub/", "/sub/deep/", "/./", "/missing/"}) {
      std::string climb;
      for (int steps = 1; steps <= 4; ++steps) {
        climb += step + "/";
        targets.insert(prefix + climb + "secret.txt");
        targets.insert(prefix + climb + "etc/passwd");
      }
    }
  }
  const std::string absolute = (site().directory.path() / "secret.txt").string();
  targets.insert(absolute);
  targets.insert("/" + absolute);
  targets.insert("/%2f" + absolute.substr(1));
  for (const std::string& target : targets) {
    INFO(target);
    check_refused(ask(server, target));
  }
  for (const std::string target : {"secret.txt", "../secret.txt", "*", "file:///etc/passwd", "\\..\\secret.txt"}) {
    INFO(target);
    const Reply reply = ask(server, target);
    CHECK(reply.status / 100 == 4);
    CHECK(reply.body.find(site().secret) == std::string::npos);
  }
  finish(server);
}

TEST_CASE("symbolic links are followed inside of the root only", "[once]") {
  TempDir parent;
  parent.write("secret.txt", site().secret);
  parent.write("outside/secret.txt", site().secret);
  parent.write("root/file.txt", "inside");
  parent.write("root/sub/other.txt", "other");
  const fs::path root = parent.path() / "root";
  fs::create_symlink("file.txt", root / "link.txt");
  fs::create_symlink("link.txt", root / "link-to-link.txt");
  fs::create_symlink("../file.txt", root / "sub/up-inside.txt");
  fs::create_symlink("sub", root / "directory-link");
  fs::create_symlink("../secret.txt", root / "escape.txt");
  fs::create_symlink("../outside", root / "escape-directory");
  fs::create_symlink("..", root / "parent");
  fs::create_symlink("sub/../../secret.txt", root / "escape-by-detour.txt");
  fs::create_symlink(parent.path() / "secret.txt", root / "absolute.txt");
  fs::create_symlink("/", root / "slash");
  fs::create_symlink("/proc/self/root", root / "magic");
  fs::create_symlink("missing", root / "dangling.txt");
  fs::create_symlink("loop.txt", root / "loop.txt");
  fs::create_symlink("escape.txt", root / "link-to-escape.txt");

  Server server = serve_directory(root.string());
  for (const char* target : {"/link.txt", "/link-to-link.txt", "/sub/up-inside.txt", "/directory-link/up-inside.txt"}) {
    INFO(target);
    const Reply reply = ask(server, target);
    CHECK(reply.status == 200);
    CHECK(reply.body == "inside");
  }
  CHECK(ask(server, "/directory-link/other.txt").body == "other");
  const std::string escapes[] = {"/escape.txt",           "/escape-directory/secret.txt",
                                 "/parent/secret.txt",    "/parent/outside/secret.txt",
                                 "/escape-by-detour.txt", "/absolute.txt",
                                 "/link-to-escape.txt",   "/slash/etc/passwd",
                                 "/magic/etc/passwd",     "/slash" + (parent.path() / "secret.txt").string()};
  for (const std::string& target : escapes) {
    INFO(target);
    check_refused(ask(server, target));
    check_refused(ask(server, target));
  }
  for (const char* target : {"/dangling.txt", "/loop.txt"}) {
    INFO(target);
    const Reply reply = ask(server, target);
    CHECK((reply.status == 404 || reply.status == 403));
  }
  finish(server);
}

TEST_CASE("only regular files are served, and asking for others stalls nobody", "[once]") {
  TempDir root;
  root.write("file.txt", "regular");
  REQUIRE(mkfifo((root.path() / "fifo").c_str(), 0666) == 0);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket_path = (root.path() / "socket").string();
  REQUIRE(socket_path.size() < sizeof address.sun_path);
  socket_path.copy(address.sun_path, socket_path.size());
  REQUIRE(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  std::vector<std::string> targets = {"/fifo", "/socket"};
  // Only root can make a device; otherwise there is none to ask for.
  if (mknod((root.path() / "zero").c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0) targets.push_back("/zero");

  Server server = serve_directory(root.path().string());
  for (const std::string& target : targets) {
    INFO(target);
    for (int round = 0; round < 3; ++round) check_refused(ask(server, target));
    CHECK(ask(server, "/file.txt").body == "regular");
  }
  finish(server);
  close(listener);
}

TEST_CASE("a file that may not be read is a 403", "[once]") {
  TempDir root;
  root.write("closed.txt", site().secret);
  root.write("locked/file.txt", site().secret);
  root.write("open.txt", "open");
  chmod((root.path() / "closed.txt").c_str(), 0);
  chmod((root.path() / "locked").c_str(), 0);
  Server server = serve_directory(root.path().string(), {}, {.obey_permissions = true});
  for (const char* target : {"/closed.txt", "/locked/file.txt"}) {
    INFO(target);
    const Reply reply = ask(server, target);
    CHECK(reply.status == 403);
    CHECK(reply.body.find(site().secret) == std::string::npos);
  }
  CHECK(ask(server, "/open.txt").status == 200);
  finish(server);
  chmod((root.path() / "locked").c_str(), 0755);
}

TEST_CASE("the ending of a name tells the media type", "[once]") {
  const std::pair<const char*, std::vector<std::string>> types[] = {
      {"a.html", {"text/html"}},
      {"a.htm", {"text/html"}},
      {"a.HTML", {"text/html"}},
      {"a.css", {"text/css"}},
      {"a.js", {"text/javascript", "application/javascript"}},
      {"a.json", {"application/json"}},
      {"a.txt", {"text/plain"}},
      {"a.xml", {"application/xml", "text/xml"}},
      {"a.svg", {"image/svg+xml"}},
      {"a.png", {"image/png"}},
      {"a.jpg", {"image/jpeg"}},
      {"a.jpeg", {"image/jpeg"}},
      {"a.gif", {"image/gif"}},
      {"a.pdf", {"application/pdf"}},
      {"a.tar.gz", {"application/gzip", "application/x-gzip"}},
      {"a.mp4", {"video/mp4"}},
      {"a.b.png", {"image/png"}},
      {"a.unheard-of", {"application/octet-stream"}},
      {"plain", {"application/octet-stream"}},
      {"dir.html/plain", {"application/octet-stream"}},
      {".png", {"application/octet-stream", "image/png"}},
  };
  TempDir root;
  for (const auto& [name, accepted] : types) root.write(name, "x");
  Server server = serve_directory(root.path().string());
  for (const auto& [name, accepted] : types) {
    std::string type = ask(server, std::string("/") + name).header("content-type");
    type = type.substr(0, type.find(';'));
    INFO(name << " is " << type);
    CHECK(std::find(accepted.begin(), accepted.end(), type) != accepted.end());
  }
  finish(server);
}

}  // namespace bakeoff::conformance
