// Injects faults into a server while clients use it, and prints the effects. One row per fault: how often it was tried,
// whether the server lives and answers afterwards, how many replies had wrong bytes, and how many more descriptors it
// holds. See print_help().
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "core/base/errors.h"
#include "harness/ground/programs.h"
#include "harness/processes/descendants.h"
#include "harness/processes/server_process.h"
#include "tests/support/server_commands.h"
#include "tests/support/temp_dir.h"

namespace bakeoff {
namespace {

constexpr int patience_ms = 10'000;
constexpr std::size_t small_bytes = 5'000, large_bytes = 3'000'000;

void print_help(std::ostream& out) {
  out << "torture [--fault NAME]... SERVER...\n\n"
         "SERVER: an architecture, nginx, lighttpd, h2o or apache2-event; `all` for every architecture. Faults:\n"
         "  kill      kill -9 of one worker process (servers of several processes)\n"
         "  stop      SIGSTOP of a worker process for 200 ms, then SIGCONT\n"
         "  nofork    no process or thread more, while a worker is killed and new files are asked for\n"
         "  nofiles   no more descriptors than it holds, under 60 connections\n"
         "  nomemory  20 MB of address space to spare, under 2,700 connections with half a head of 8 KB\n"
         "  change    files replaced, cut short, grown and deleted while they are fetched\n"
         "  slow      clients that send and read a byte at a time\n"
         "  reset     connections reset in the middle of requests and replies\n"
         "  end       SIGTERM while replies are under way\n"
         "  drain     asked to end in order (ours: --drain 5s, SIGTERM) while replies are under way and others are "
         "idle:\n"
         "            all replies come whole, idle connections end at once, nobody new gets in\n"
         "The default is all of them. Exit status: 1 when a server died, stays silent, sent wrong bytes or leaks.\n";
}

void pause_ms(int ms) {
  const timespec time = {ms / 1000, ms % 1000 * 1'000'000L};
  nanosleep(&time, nullptr);
}

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

bool eventually(const std::function<bool()>& holds) {
  for (const std::int64_t end = now_ms() + patience_ms; now_ms() < end; pause_ms(5)) {
    if (holds()) return true;
  }
  return holds();
}

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (fd_ >= 0 && ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(fd_);
      fd_ = -1;
    }
  }
  ~Client() {
    if (fd_ >= 0) ::close(fd_);
  }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&&) = delete;

  bool is_connected() const { return fd_ >= 0; }
  void send(std::string_view bytes) {
    if (fd_ >= 0) [[maybe_unused]]
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // At most so many bytes, within the time; nothing at the end, after an error and when time is up.
  std::string receive(std::size_t most, int within_ms = patience_ms) {
    pollfd wait{fd_, POLLIN, 0};
    if (fd_ < 0 || ::poll(&wait, 1, within_ms) <= 0) return {};
    std::string piece(most, '\0');
    const ssize_t got = ::recv(fd_, piece.data(), most, 0);
    piece.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return piece;
  }
  void reset() {
    const linger now = {1, 0};
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

std::string get(const std::string& name) {
  return "GET /" + name + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
}

// Whether what came is a part of a reply as it should be: the body, as far as it came, is the beginning of one of the
// contents. `whole`: all of it came.
enum class Came { right, cut, wrong, nothing, refused };
Came judge(const std::string& received, const std::vector<std::string>& contents) {
  if (received.empty()) return Came::nothing;
  const std::size_t end = received.find("\r\n\r\n");
  if (end == std::string::npos)
    return received.starts_with("HTTP/1.1 ") || received.size() < 9 ? Came::cut : Came::wrong;
  if (!received.starts_with("HTTP/1.1 200 ")) return received.starts_with("HTTP/1.1 ") ? Came::refused : Came::wrong;
  const std::string_view body = std::string_view(received).substr(end + 4);
  for (const std::string& content : contents) {
    if (content == body) return Came::right;
  }
  for (const std::string& content : contents) {
    if (content.size() > body.size() && std::string_view(content).starts_with(body)) return Came::cut;
  }
  return Came::wrong;
}

Came fetch(std::uint16_t port, const std::string& name, const std::vector<std::string>& contents,
           int within_ms = patience_ms) {
  Client client(port);
  client.send(get(name));
  std::string received;
  for (std::string piece = client.receive(1 << 16, within_ms); !piece.empty();
       piece = client.receive(1 << 16, within_ms))
    received += piece;
  return judge(received, contents);
}

// --- one server under one fault ---

struct Victim {
  std::string name;
  ServerProcess& process;
  const test::TempDir& site;
  std::map<std::string, std::string> contents;  // of the files that stay as they are

  std::uint16_t port() const { return process.port(); }
  std::vector<pid_t> members() const {
    std::vector<pid_t> pids;
    for (const Process& one : all_processes()) {
      if (one.group == process.group()) pids.push_back(one.pid);
    }
    return pids;
  }
  bool has_spare_worker() const { return members().size() > 2; }
  // One that is not the first: the server goes on without it.
  std::optional<pid_t> worker() const {
    for (const pid_t pid : members()) {
      if (pid != process.group()) return pid;
    }
    return std::nullopt;
  }
  std::size_t descriptors() const {
    std::size_t count = 0;
    for (const pid_t pid : members()) {
      std::error_code gone;
      for (std::filesystem::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", gone), end;
           !gone && entry != end; entry.increment(gone))
        ++count;
    }
    return count;
  }
  bool answers() const {
    return eventually([&] { return fetch(port(), "small", {contents.at("small")}) == Came::right; });
  }
};

struct Outcome {
  int tried = 0;
  int wrong = 0;
  std::string note = {};  // why it does not apply
  bool failed = false;    // it did what it must not do under this fault
};

void count(Outcome& outcome, Came came) {
  ++outcome.tried;
  outcome.wrong += came == Came::wrong ? 1 : 0;
}

// Clients that fetch both files all the while, in a thread of their own.
class Background {
 public:
  explicit Background(const Victim& victim)
      : thread_([this, &victim] {
          for (bool large = false; !ended_; large = !large) {
            const std::string name = large ? "large" : "small";
            if (fetch(victim.port(), name, {victim.contents.at(name)}) == Came::wrong) ++wrong_;
          }
        }) {}
  int end() {
    ended_ = true;
    if (thread_.joinable()) thread_.join();
    return wrong_;
  }
  ~Background() { end(); }

 private:
  std::atomic<bool> ended_{false};
  std::atomic<int> wrong_{0};
  std::thread thread_;
};

Outcome kill_worker(Victim& victim) {
  Outcome outcome;
  if (!victim.worker()) return {0, 0, "one process"};
  Background background(victim);
  for (int i = 0; i < 5; ++i) {
    const auto worker = victim.worker();
    if (worker && ::kill(*worker, SIGKILL) == 0) ++outcome.tried;
    pause_ms(100);
  }
  outcome.wrong = background.end();
  return outcome;
}

Outcome stop_worker(Victim& victim) {
  Outcome outcome;
  Background background(victim);
  for (int i = 0; i < 3; ++i) {
    const pid_t whom = victim.worker().value_or(victim.process.group());
    if (::kill(whom, SIGSTOP) == 0) ++outcome.tried;
    pause_ms(200);
    ::kill(whom, SIGCONT);
    pause_ms(50);
  }
  outcome.wrong = background.end();
  return outcome;
}

// The limit of every member, for as long as this lives.
class Limited {
 public:
  Limited(const Victim& victim, __rlimit_resource what, const std::function<rlim_t(pid_t)>& bound) : what_(what) {
    for (const pid_t pid : victim.members()) {
      rlimit before{};
      if (::prlimit(pid, what, nullptr, &before) != 0) continue;
      const rlimit now = {std::min(bound(pid), before.rlim_max), before.rlim_max};
      if (::prlimit(pid, what, &now, nullptr) == 0) before_[pid] = before;
    }
  }
  ~Limited() {
    for (const auto& [pid, limit] : before_) ::prlimit(pid, what_, &limit, nullptr);
  }
  Limited(const Limited&) = delete;
  Limited& operator=(const Limited&) = delete;

 private:
  __rlimit_resource what_;
  std::map<pid_t, rlimit> before_;
};

Outcome no_files(Victim& victim) {
  Outcome outcome;
  const Limited limited(victim, RLIMIT_NOFILE, [](pid_t pid) {
    rlim_t highest = 0;
    std::error_code gone;
    for (std::filesystem::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", gone), end;
         !gone && entry != end; entry.increment(gone))
      highest = std::max<rlim_t>(highest, std::stoul(entry->path().filename()));
    return highest + 4;
  });
  std::vector<Client> clients;
  for (int i = 0; i < 60; ++i) {
    clients.emplace_back(victim.port());
    clients.back().send("GET /small HTTP/1.1\r\nHo");
  }
  for (Client& client : clients) client.send("st: x\r\nConnection: close\r\n\r\n");
  for (Client& client : clients) {
    std::string received;
    for (std::string piece = client.receive(1 << 16, 100); !piece.empty(); piece = client.receive(1 << 16, 100))
      received += piece;
    count(outcome, judge(received, {victim.contents.at("small")}));
  }
  return outcome;
}

// A fork or a new thread fails. The kernel exempts root from this limit: start() gives the server another user.
Outcome no_fork(Victim& victim) {
  Outcome outcome;
  Background background(victim);
  {
    const Limited limited(victim, RLIMIT_NPROC, [](pid_t) -> rlim_t { return 0; });
    for (int i = 0; i < 3; ++i) {
      const auto worker = victim.worker();
      if (i == 0 && worker && victim.has_spare_worker()) ::kill(*worker, SIGKILL);
      for (int file = 0; file < 10; ++file) {
        const std::string name = "new-" + std::to_string(10 * i + file),
                          content = test::test_content(name, small_bytes);
        victim.site.write("root/" + name, content);
        count(outcome, fetch(victim.port(), name, {content}));
      }
      pause_ms(200);
    }
    outcome.failed = !victim.answers();  // those that live go on alone
  }
  outcome.wrong += background.end();
  return outcome;
}

Outcome no_memory(Victim& victim) {
  Outcome outcome;
  rlimit own{};
  ::getrlimit(RLIMIT_NOFILE, &own);
  own.rlim_cur = own.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &own);
  const Limited limited(victim, RLIMIT_AS, [](pid_t pid) -> rlim_t {
    std::size_t pages = 0;
    if (FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/statm").c_str(), "r")) {
      if (std::fscanf(file, "%zu", &pages) != 1) pages = 0;
      std::fclose(file);
    }
    return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (20 << 20);
  });
  const std::string half = "GET /small HTTP/1.1\r\nHost: x\r\nX: " + std::string(7900, 'x');
  std::vector<Client> clients;
  for (int i = 0; i < 2700; ++i) {
    clients.emplace_back(victim.port());
    clients.back().send(half);
    ++outcome.tried;
    if (victim.process.has_ended()) break;
  }
  // Where each connection holds a worker, those with half a head hold all of them: then nobody answers, and rightly so.
  for (int i = 0; i < 3; ++i) count(outcome, fetch(victim.port(), "large", {victim.contents.at("large")}, 1000));
  return outcome;
}

// When a file is truncated in place, the kernel zeroes the rest of its last page, which may be large, even if that page
// is on its way to a client (sendfile sends pages, not copies). No server can know of it: such zeros count as correct.
void restore_what_was_cut(std::string& received, const std::string& before, std::size_t cut_at) {
  const std::size_t head = received.find("\r\n\r\n");
  if (head == std::string::npos) return;
  for (std::size_t i = cut_at; i < before.size() && head + 4 + i < received.size(); ++i) {
    char& byte = received[head + 4 + i];
    if (byte == '\0') byte = before[i];
  }
}

Outcome change(Victim& victim) {
  Outcome outcome;
  const std::string first = test::test_content("first", 200'000), second = test::test_content("second", 90'000),
                    cut = first.substr(0, 50'000), grown = first + second;
  const std::vector<std::string> all = {first, second, cut, grown};
  for (int i = 0; i < 12; ++i) {
    victim.site.replace("root/changing", first);
    count(outcome, fetch(victim.port(), "changing", all));
    Client early(victim.port());
    early.send(get("changing"));
    std::string received = early.receive(1000);
    switch (i % 4) {
      case 0: victim.site.replace("root/changing", second); break;
      case 1: std::filesystem::resize_file(victim.site.path() / "root/changing", cut.size()); break;
      case 2: victim.site.write("root/changing", grown); break;
      default: std::filesystem::remove(victim.site.path() / "root/changing");
    }
    count(outcome, fetch(victim.port(), "changing", all));
    for (std::string piece = early.receive(1 << 16); !piece.empty(); piece = early.receive(1 << 16)) received += piece;
    if (i % 4 == 1 && judge(received, all) == Came::wrong) restore_what_was_cut(received, first, cut.size());
    count(outcome, judge(received, all));
  }
  return outcome;
}

Outcome slow(Victim& victim) {
  Outcome outcome;
  std::vector<Client> clients;
  const std::string request = get("small");
  for (int i = 0; i < 20; ++i) clients.emplace_back(victim.port());
  for (const char byte : request) {
    for (Client& client : clients) client.send(std::string_view(&byte, 1));
  }
  std::vector<std::string> received(clients.size());
  for (std::size_t bytes = 0; bytes < 400; ++bytes) {
    for (std::size_t i = 0; i < clients.size(); ++i) received[i] += clients[i].receive(1);
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    for (std::string piece = clients[i].receive(1 << 16); !piece.empty(); piece = clients[i].receive(1 << 16))
      received[i] += piece;
    const Came came = judge(received[i], {victim.contents.at("small")});
    count(outcome, came == Came::right ? came : Came::wrong);
  }
  return outcome;
}

Outcome reset(Victim& victim) {
  Outcome outcome;
  Background background(victim);
  for (int i = 0; i < 200; ++i, ++outcome.tried) {
    Client client(victim.port());
    client.send(i % 3 == 0 ? "GET /large HT" : get("large"));
    if (i % 3 == 1) client.receive(1000);
    client.reset();
  }
  outcome.wrong = background.end();
  return outcome;
}

// Replies that are under way when the server is told to end: what came is right as far as it goes.
Outcome end(Victim& victim) {
  Outcome outcome;
  std::vector<Client> clients;
  std::vector<std::string> received;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(victim.port());
    clients.back().send(get("large"));
    received.push_back(clients.back().receive(1000));
  }
  std::thread reader([&] {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      for (std::string piece = clients[i].receive(1 << 16); !piece.empty(); piece = clients[i].receive(1 << 16))
        received[i] += piece;
    }
  });
  victim.process.stop();
  reader.join();
  for (const std::string& one : received) count(outcome, judge(one, {victim.contents.at("large")}));
  outcome.failed = !victim.process.stopped_in_order();
  return outcome;
}

int signal_to_drain(const std::string& server) {
  static const std::map<std::string, int> others = {{"nginx", SIGQUIT}, {"lighttpd", SIGINT}};
  if (server.starts_with("apache2")) return SIGWINCH;
  const auto found = others.find(server);
  return found != others.end() ? found->second : SIGTERM;
}

// As end(), of a server that is to answer what it has begun.
Outcome drain(Victim& victim) {
  Outcome outcome;
  std::vector<Client> idle, clients;
  std::vector<std::string> received;
  for (int i = 0; i < 4; ++i) {
    idle.emplace_back(victim.port());
    idle.back().send("GET /small HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string reply;
    while (reply.size() < small_bytes) {
      const std::string piece = idle.back().receive(1 << 16);
      if (piece.empty()) break;
      reply += piece;
    }
  }
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(victim.port());
    clients.back().send(get("large"));
    received.push_back(clients.back().receive(1000));
  }
  ::kill(victim.process.group(), signal_to_drain(victim.name));
  const std::int64_t told_ms = now_ms();
  for (Client& client : idle) {
    while (!client.receive(1 << 16).empty()) {
    }
  }
  const bool idle_ended = now_ms() - told_ms < patience_ms / 4;  // not when the time to drain is over
  const bool newcomer_served = fetch(victim.port(), "small", {victim.contents.at("small")}, 500) == Came::right;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    for (std::string piece = clients[i].receive(1 << 16); !piece.empty(); piece = clients[i].receive(1 << 16))
      received[i] += piece;
    const Came came = judge(received[i], {victim.contents.at("large")});
    count(outcome, came == Came::right ? came : Came::wrong);
  }
  const bool ended = eventually([&] { return victim.process.has_ended(); });
  outcome.failed =
      !idle_ended || newcomer_served || !ended || !victim.process.exit_reason().starts_with("died: exit status 0");
  return outcome;
}

struct Fault {
  const char* name;
  Outcome (*inflict)(Victim&);
  bool ends_it = false;  // the server is to be gone afterwards
};
constexpr const char* needs_other_user = "nofork";
constexpr const char* needs_drain = "drain";
constexpr Fault faults[] = {{"kill", kill_worker},
                            {"stop", stop_worker},
                            {needs_other_user, no_fork},
                            {"nofiles", no_files},
                            {"nomemory", no_memory},
                            {"change", change},
                            {"slow", slow},
                            {"reset", reset},
                            {"end", end, true},
                            {needs_drain, drain, true}};

std::unique_ptr<ServerProcess> start(Programs& programs, const std::string& name, const Fault& fault,
                                     const test::TempDir& site) {
  const std::string root = (site.path() / "root").string();
  std::vector<std::string> words;
  if (fault.name == needs_other_user && ::geteuid() == 0) {
    words = {"/usr/bin/setpriv", "--reuid=65534",         "--regid=65534",
             "--clear-groups",   "--inh-caps=+net_admin", "--ambient-caps=+net_admin"};  // --congestion may need that
  }
  const auto as_that_user = [&](const std::vector<std::string>& command) {
    words.insert(words.end(), command.begin(), command.end());
    return Command{words, {}};
  };
  const std::vector<std::string> ours = Programs::architectures();
  if (std::find(ours.begin(), ours.end(), name) != ours.end()) {
    Command command = as_that_user(test::own_server(programs, name, root));
    if (fault.name == needs_drain) command.arguments.insert(command.arguments.end(), {"--drain", "5s"});
    const auto& workers = programs.describe(name).at("workers");
    const bool each = programs.describe(name).at("connections_are_workers");
    if (workers.at("max") > 1) command.arguments.insert(command.arguments.end(), {"--workers", each ? "32" : "2"});
    return std::make_unique<ServerProcess>(programs.reactor(), name, command);
  }
  const test::OutsideCommand command =
      test::outside_server(name, name == "nginx" ? 2 : 1, 4096, root, site.path() / "other");
  return std::make_unique<ServerProcess>(programs.reactor(), name, as_that_user(command.arguments), command.port);
}

// Prints the row; false when the server did not stand it.
bool inflict(Programs& programs, const std::string& name, const Fault& fault) {
  const test::TempDir site;
  std::filesystem::permissions(site.path(), std::filesystem::perms(0755));
  std::map<std::string, std::string> contents = {{"small", test::test_content("small", small_bytes)},
                                                 {"large", test::test_content("large", large_bytes)}};
  for (const auto& [file, content] : contents) site.write("root/" + file, content);
  const auto process = start(programs, name, fault, site);
  Victim victim{name, *process, site, contents};
  bool survived = victim.answers();
  for (const auto& [file, content] : contents) fetch(victim.port(), file, {content});
  const std::size_t before = victim.descriptors();
  const Outcome outcome = fault.inflict(victim);
  survived = survived && !outcome.failed;
  std::size_t leaked = 0;
  if (!fault.ends_it) {
    survived = survived && !process->has_ended() && victim.answers() && !process->has_ended();
    // An open-file cache may hold the files of this site, a descriptor in each process.
    const std::size_t files = fault.inflict == no_fork ? 34 : 4;
    const std::size_t allowed = before + files * victim.members().size();
    std::size_t after = 0;
    eventually([&] { return (after = victim.descriptors()) <= allowed; });
    leaked = survived && after > allowed ? after - before : 0;
  }
  process->stop();
  if (!outcome.note.empty()) {
    std::printf("%-24s %-9s %s\n", name.c_str(), fault.name, outcome.note.c_str());
  } else {
    std::printf("%-24s %-9s %6d  %-8s  %6d  %6zu\n", name.c_str(), fault.name, outcome.tried, survived ? "yes" : "NO",
                outcome.wrong, leaked);
  }
  std::fflush(stdout);
  return !outcome.note.empty() || (survived && outcome.wrong == 0 && leaked == 0);
}

int run(const std::vector<std::string>& words) {
  std::vector<std::string> servers, wanted;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--help") {
      print_help(std::cout);
      return 0;
    }
    if (words[i] == "--fault" && i + 1 < words.size()) {
      wanted.push_back(words[++i]);
    } else if (words[i] == "all") {
      for (const std::string& name : Programs::architectures()) servers.push_back(name);
    } else {
      servers.push_back(words[i]);
    }
  }
  if (servers.empty()) throw UsageError("name a server; see --help");
  Reactor reactor;
  Programs programs(reactor);
  std::printf("%-24s %-9s %6s  %-8s  %6s  %6s\n", "server", "fault", "tried", "survived", "wrong", "leaked");
  bool all_stood = true, known = wanted.empty();
  for (const std::string& server : servers) {
    const auto is_wanted = [&](const char* name) {
      const bool is = wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
      known = known || is;
      return is;
    };
    for (const Fault& fault : faults) {
      if (is_wanted(fault.name)) all_stood = inflict(programs, server, fault) && all_stood;
    }
  }
  if (!known) throw UsageError("there is no such fault; see --help");
  return all_stood ? 0 : 1;
}

}  // namespace
}  // namespace bakeoff

int main(int argc, char** argv) {
  try {
    return bakeoff::run({argv + 1, argv + argc});
  } catch (const bakeoff::Interrupted&) {
    return 130;
  } catch (const bakeoff::UsageError& error) {
    std::fprintf(stderr, "torture: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "torture: %s\n", error.what());
    return 4;
  }
}
