#include "core/workers/helper_pool.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/files/disk_job.h"
#include "tests/catch.h"

namespace fs = std::filesystem;
using bakeoff::bring_into_memory;
using bakeoff::DiskJob;
using bakeoff::HelperKind;
using bakeoff::HelperPool;
using bakeoff::make_helper_pool;
using Token = HelperPool::Token;

namespace {

constexpr int at_most_ms = 10'000;  // for what must come by itself: a failure, not a pace
constexpr std::size_t page_bytes = 4096;

// A document root with a few files; removed at the end.
class Tree {
 public:
  Tree() {
    std::string name = (fs::temp_directory_path() / "bakeoff-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    fs::create_directories(root() / "dir");
    write(root() / "small", 100);
    write(root() / "dir" / "large", 1'000'000);
    write(folder_ / "outside", 10'000);
    fs::create_symlink(folder_ / "outside", root() / "link");
    REQUIRE(::mkfifo((root() / "fifo").c_str(), 0600) == 0);
    root_fd_ = ::open(root().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(root_fd_ >= 0);
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() {
    ::close(root_fd_);
    fs::remove_all(folder_);
  }
  fs::path root() const { return folder_ / "root"; }
  fs::path outside() const { return folder_ / "outside"; }
  int root_fd() const { return root_fd_; }

 private:
  static void write(const fs::path& path, std::size_t bytes) { std::ofstream(path) << std::string(bytes, 'x'); }

  fs::path folder_;
  int root_fd_ = -1;
};

DiskJob job_for(std::string_view path, std::uint64_t offset = 0, std::uint64_t length = 1 << 30) {
  DiskJob job{};
  job.offset = offset;
  job.length = length;
  job.path_bytes = static_cast<std::uint32_t>(path.size());
  std::copy(path.begin(), path.end(), job.path.begin());
  return job;
}

// Which pages of a file are in memory.
std::vector<bool> resident(const fs::path& path) {
  const std::size_t bytes = fs::file_size(path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  void* const mapping = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  REQUIRE(mapping != MAP_FAILED);
  std::vector<unsigned char> pages((bytes + page_bytes - 1) / page_bytes);
  REQUIRE(::mincore(mapping, bytes, pages.data()) == 0);
  ::munmap(mapping, bytes);
  ::close(fd);
  std::vector<bool> found;
  for (const unsigned char page : pages) found.push_back((page & 1) != 0);
  return found;
}

// False where the file system keeps its files in memory anyway.
bool evict(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  REQUIRE(::fsync(fd) == 0);
  REQUIRE(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
  ::close(fd);
  const std::vector<bool> pages = resident(path);
  return std::none_of(pages.begin(), pages.end(), [](bool page) { return page; });
}

// Whether `bring` brings pages [first, last) of a file into memory. Several times, as a machine that runs short of
// memory takes such pages at any moment.
bool comes_into_memory(const fs::path& path, std::size_t first, std::size_t last, const std::function<void()>& bring) {
  for (int tries = 0; tries < 20; ++tries) {
    bring();
    const std::vector<bool> pages = resident(path);
    if (std::all_of(pages.begin() + static_cast<std::ptrdiff_t>(first),
                    pages.begin() + static_cast<std::ptrdiff_t>(std::min(last, pages.size())),
                    [](bool page) { return page; }))
      return true;
  }
  return false;
}

// The loop of an architecture, as far as the pool needs one.
class Owner {
 public:
  explicit Owner(HelperPool& pool) : pool_(pool) {
    pool.attach([this](int fd) { watched_.insert(fd); }, [this](int fd) { watched_.erase(fd); });
  }

  // Collects until `count` jobs have finished; their tokens, sorted.
  std::vector<Token> collect(std::size_t count) {
    std::vector<Token> done;
    collect_into(done, count, [](Token) {});
    return done;
  }
  template <class Then>
  void collect_into(std::vector<Token>& done, std::size_t count, Then then) {
    while (done.size() < count) {
      std::vector<pollfd> fds;
      for (const int fd : watched_) fds.push_back({fd, POLLIN, 0});
      REQUIRE(::poll(fds.data(), fds.size(), at_most_ms) > 0);
      for (const pollfd& each : fds) {
        if (each.revents == 0) continue;
        pool_.collect(each.fd, [&](Token token) {
          done.push_back(token);
          then(token);
        });
      }
    }
    std::sort(done.begin(), done.end());
  }
  const std::set<int>& watched() const { return watched_; }

 private:
  HelperPool& pool_;
  std::set<int> watched_;
};

std::string read_all(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The helper processes that `parent` has.
std::vector<pid_t> helpers_of(pid_t parent) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string status = read_all(entry.path() / "status");
    if (status.starts_with("Name:\tamped-helper\n") &&
        status.find("\nPPid:\t" + std::to_string(parent) + "\n") != std::string::npos) {
      found.push_back(std::stoi(name));
    }
  }
  return found;
}

void stop(pid_t helper) {
  REQUIRE(::kill(helper, SIGSTOP) == 0);
  int status = 0;
  REQUIRE(::waitpid(helper, &status, WUNTRACED) == helper);
  REQUIRE(WIFSTOPPED(status));
}

// Kills a helper, and waits until it is dead, yet leaves it to the pool to reap.
void kill_helper(pid_t helper) {
  REQUIRE(::kill(helper, SIGKILL) == 0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(helper), &info, WEXITED | WNOWAIT) == 0);
}

// Waits until a helper that the pool has killed is dead. The pool may have reaped it already.
void wait_until_dead(pid_t helper) {
  siginfo_t info{};
  REQUIRE((::waitid(P_PID, static_cast<id_t>(helper), &info, WEXITED | WNOWAIT) == 0 || errno == ECHILD));
}

HelperKind each_kind() { return GENERATE(HelperKind::processes, HelperKind::threads); }

std::vector<Token> tokens(Token first, Token last) {
  std::vector<Token> all;
  for (Token token = first; token <= last; ++token) all.push_back(token);
  return all;
}

}  // namespace

TEST_CASE("a disk job brings its range into memory", "[disk_job]") {
  const Tree tree;
  const fs::path large = tree.root() / "dir" / "large";
  if (!evict(large)) {
    WARN("this file system cannot evict pages: residency is not tested");
    return;
  }
  bring_into_memory(job_for("dir/large", 0, 0), tree.root_fd());
  const std::vector<bool> pages = resident(large);
  CHECK(std::count(pages.begin(), pages.end(), true) == 0);

  constexpr std::size_t first = 20;
  constexpr std::size_t count = 50;
  CHECK(comes_into_memory(large, first, first + count, [&] {
    bring_into_memory(job_for("dir/large", first * page_bytes, count * page_bytes), tree.root_fd());
  }));
  // The length is cut at the end of the file.
  CHECK(comes_into_memory(large, 0, pages.size(), [&] { bring_into_memory(job_for("dir/large"), tree.root_fd()); }));
}

TEST_CASE("a disk job for a file that is to be copied reads all of it", "[disk_job]") {
  const Tree tree;
  const fs::path large = tree.root() / "dir" / "large";
  DiskJob job = job_for("dir/large", 0, 4096);
  job.whole_bytes = fs::file_size(large);
  if (!evict(large)) return;
  const std::vector<bool> pages = resident(large);
  CHECK(comes_into_memory(large, 0, pages.size(), [&] { bring_into_memory(job, tree.root_fd()); }));
}

TEST_CASE("a disk job leaves the root alone and survives whatever stands there", "[disk_job]") {
  const Tree tree;
  const bool evicted = evict(tree.outside());
  for (const std::string& path : {std::string("../outside"), tree.outside().string(), std::string("link")}) {
    bring_into_memory(job_for(path), tree.root_fd());
  }
  const std::vector<bool> pages = resident(tree.outside());
  CHECK((!evicted || std::count(pages.begin(), pages.end(), true) == 0));

  const int free_before = ::dup(tree.root_fd());
  ::close(free_before);
  for (const char* path : {"", ".", "missing", "dir", "fifo", "small/below"}) {
    bring_into_memory(job_for(path), tree.root_fd());
  }
  bring_into_memory(job_for("small", 1'000'000, 10), tree.root_fd());
  bring_into_memory(job_for("small", ~std::uint64_t{0}, ~std::uint64_t{0}), tree.root_fd());
  bring_into_memory(job_for(std::string(DiskJob::longest_path, 'a')), tree.root_fd());
  const int free_after = ::dup(tree.root_fd());
  ::close(free_after);
  CHECK(free_after == free_before);  // no descriptor was left open
}

TEST_CASE("what goes through a pipe is the head of a job and its path", "[disk_job]") {
  CHECK(job_for("abc").wire_bytes() == offsetof(DiskJob, path) + 3);
  CHECK(job_for("abc").path_view() == "abc");
}

TEST_CASE("helpers read files and notify their owner", "[helper_pool]") {
  const HelperKind kind = each_kind();
  const Tree tree;
  const fs::path large = tree.root() / "dir" / "large";
  const bool evicted = evict(large);
  const auto pool = make_helper_pool(kind, 4, tree.root_fd());
  Owner owner(*pool);
  CHECK(pool->counters().started == 0);

  std::uint64_t reads = 0;
  const bool came = comes_into_memory(large, 0, 1'000'000, [&] {
    ++reads;
    pool->submit(job_for("dir/large"), 7);
    CHECK(owner.collect(1) == std::vector<Token>{7});
  });
  if (evicted) CHECK(came);
  // Nobody is busy: the next job goes to the helper there is, whatever becomes of it.
  pool->submit(job_for("missing"), 8);
  CHECK(owner.collect(1) == std::vector<Token>{8});
  pool->submit(job_for("fifo"), ~Token{0});
  CHECK(owner.collect(1) == std::vector<Token>{~Token{0}});
  CHECK(pool->counters().started == 1);
  CHECK(pool->counters().jobs == reads + 2);
  CHECK(pool->counters().queued_most == 0);
  CHECK(pool->counters().died == 0);
}

TEST_CASE("helpers are started on demand up to the bound; further jobs wait in the pool", "[helper_pool]") {
  const HelperKind kind = each_kind();
  const Tree tree;
  const auto pool = make_helper_pool(kind, 3, tree.root_fd());
  Owner owner(*pool);
  for (Token token = 1; token <= 10; ++token) pool->submit(job_for(token % 2 == 0 ? "small" : "dir/large"), token);
  CHECK(pool->counters().started == 3);
  CHECK(pool->counters().queued_most == 7);
  CHECK(owner.collect(10) == tokens(1, 10));
  CHECK(pool->counters().started == 3);

  // Whoever learns of a finished job may submit at once.
  std::vector<Token> done;
  Token next = 100;
  pool->submit(job_for("small"), next);
  owner.collect_into(done, 50, [&](Token) {
    if (next < 149) pool->submit(job_for("small"), ++next);
  });
  CHECK(done == tokens(100, 149));
  CHECK(pool->counters().started == 3);
  CHECK(pool->counters().jobs == 60);
}

TEST_CASE("a pool may be destroyed with jobs in hand and in its queue", "[helper_pool]") {
  const HelperKind kind = each_kind();
  const Tree tree;
  {
    const auto pool = make_helper_pool(kind, 2, tree.root_fd());
    Owner owner(*pool);
    for (Token token = 0; token < 20; ++token) pool->submit(job_for("dir/large"), token);
  }
  CHECK(helpers_of(::getpid()).empty());
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // no child is left, dead or alive
}

TEST_CASE("a collect for a descriptor that is not readable, or not the pool's, does nothing", "[helper_pool]") {
  const HelperKind kind = each_kind();
  const Tree tree;
  const auto pool = make_helper_pool(kind, 2, tree.root_fd());
  Owner owner(*pool);
  pool->submit(job_for("small"), 1);
  CHECK(owner.collect(1) == std::vector<Token>{1});
  int finished = 0;
  for (const int fd : std::set<int>(owner.watched())) pool->collect(fd, [&](Token) { ++finished; });
  pool->collect(tree.root_fd(), [&](Token) { ++finished; });
  CHECK(finished == 0);
}

TEST_CASE("helpers may be started from a process with other threads", "[helper_pool]") {
  const HelperKind kind = each_kind();
  const Tree tree;
  std::atomic<bool> end{false};
  std::thread busy([&] {
    while (!end) std::make_unique<std::string>(100, 'x');  // holds the heap's lock now and then
  });
  const auto pool = make_helper_pool(kind, 8, tree.root_fd());
  Owner owner(*pool);
  for (Token token = 1; token <= 40; ++token) pool->submit(job_for("small"), token);
  CHECK(owner.collect(40) == tokens(1, 40));
  CHECK(pool->counters().died == 0);
  end = true;
  busy.join();
}

TEST_CASE("a helper process holds nothing but its pipe and the root, and has its own way with signals",
          "[helper_pool]") {
  const Tree tree;
  std::array<int, 2> connection{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, connection.data()) == 0);
  struct sigaction before {};
  struct sigaction handler {};
  handler.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGTERM, &handler, &before) == 0);

  const auto pool = make_helper_pool(HelperKind::processes, 1, tree.root_fd());
  Owner owner(*pool);
  pool->submit(job_for("small"), 1);
  CHECK(owner.collect(1) == std::vector<Token>{1});
  const std::vector<pid_t> helpers = helpers_of(::getpid());
  REQUIRE(helpers.size() == 1);
  const fs::path process = fs::path("/proc") / std::to_string(helpers[0]);

  CHECK(std::distance(fs::directory_iterator(process / "fd"), fs::directory_iterator()) == 2);
  ::close(connection[0]);
  char byte = 0;
  CHECK(::recv(connection[1], &byte, 1, 0) == 0);  // the peer sees the close
  ::close(connection[1]);

  const std::string status = read_all(process / "status");
  for (const char* set : {"\nSigBlk:\t", "\nSigIgn:\t", "\nSigCgt:\t"}) {
    const std::size_t at = status.find(set);
    REQUIRE(at != std::string::npos);
    // 32 and 33 belong to the C library.
    CHECK((std::stoull(status.substr(at + 9, 16), nullptr, 16) & ~0x1'8000'0000ULL) == 0);
  }
  ::sigaction(SIGTERM, &before, nullptr);
}

TEST_CASE("a job that is given up is never told of, and a new helper goes on in place of the one that has it",
          "[helper_pool]") {
  const Tree tree;
  const auto pool = make_helper_pool(HelperKind::processes, 1, tree.root_fd());
  Owner owner(*pool);
  pool->submit(job_for("small"), 1);
  CHECK(owner.collect(1) == std::vector<Token>{1});
  const pid_t helper = helpers_of(::getpid()).at(0);
  stop(helper);
  for (Token token = 2; token <= 5; ++token) pool->submit(job_for("small"), token);
  pool->give_up(4);  // while it is queued
  pool->give_up(2);  // while it is in hand
  CHECK(owner.collect(2) == std::vector<Token>{3, 5});
  CHECK(pool->counters().given_up == 2);
  CHECK(pool->counters().started == 2);
  CHECK(pool->counters().died == 0);
  wait_until_dead(helper);
  pool->submit(job_for("small"), 6);
  CHECK(owner.collect(1) == std::vector<Token>{6});  // with that the pool reaps the dead
  CHECK(helpers_of(::getpid()).size() == 1);
}

TEST_CASE("a thread whose job was given up comes back unnoticed", "[helper_pool]") {
  const Tree tree;
  const auto pool = make_helper_pool(HelperKind::threads, 1, tree.root_fd());
  Owner owner(*pool);
  for (Token token = 1; token <= 50; ++token) {
    pool->submit(job_for("dir/large"), 2 * token);
    pool->submit(job_for("small"), 2 * token + 1);
    pool->give_up(2 * token);  // in hand, or done and not yet told
    CHECK(owner.collect(1) == std::vector<Token>{2 * token + 1});
  }
  CHECK(pool->counters().given_up == 50);
}

TEST_CASE("a helper process killed at its job: the job counts as finished, and a new helper follows", "[helper_pool]") {
  const Tree tree;
  const auto pool = make_helper_pool(HelperKind::processes, 1, tree.root_fd());
  Owner owner(*pool);
  pool->submit(job_for("small"), 1);
  CHECK(owner.collect(1) == std::vector<Token>{1});
  const pid_t helper = helpers_of(::getpid()).at(0);
  stop(helper);

  SECTION("with nothing queued, the next submit starts it") {
    pool->submit(job_for("small"), 2);
    kill_helper(helper);
    CHECK(owner.collect(1) == std::vector<Token>{2});
    CHECK(pool->counters().died == 1);
    CHECK(pool->counters().started == 1);
    CHECK(::waitpid(helper, nullptr, WNOHANG) == -1);  // reaped
    pool->submit(job_for("small"), 3);
    CHECK(owner.collect(1) == std::vector<Token>{3});
  }
  SECTION("for the jobs that were queued") {
    for (Token token = 2; token <= 5; ++token) pool->submit(job_for("small"), token);
    kill_helper(helper);
    CHECK(owner.collect(4) == tokens(2, 5));
    CHECK(pool->counters().died == 1);
  }
  SECTION("when it was idle, nothing is lost") {
    kill_helper(helper);
    const auto before = std::signal(SIGPIPE, SIG_DFL);  // as in a server that does not ignore it
    pool->submit(job_for("small"), 2);
    std::signal(SIGPIPE, before);
    CHECK(owner.collect(1) == std::vector<Token>{2});
    CHECK(pool->counters().died == 0);
  }
  SECTION("when it was idle, its descriptor is used no more: a connection may have the number now") {
    const std::set<int> watched = owner.watched();
    kill_helper(helper);
    for (const int fd : watched) pool->collect(fd, [](Token) {});
    REQUIRE(owner.watched().size() == 1);
    std::array<int, 2> connection{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, connection.data()) == 0);
    REQUIRE(watched.contains(connection[0]));
    pool->submit(job_for("small"), 2);
    CHECK(owner.collect(1) == std::vector<Token>{2});
    char byte = 0;
    CHECK(::recv(connection[1], &byte, 1, 0) == -1);
    ::close(connection[0]);
    ::close(connection[1]);
  }
  CHECK(pool->counters().started == 2);
  CHECK(helpers_of(::getpid()).size() == 1);
  CHECK(owner.watched().size() == 2);
}

TEST_CASE("where no helper process is available, jobs are reported as finished", "[helper_pool]") {
  const Tree tree;
  const auto pool = make_helper_pool(HelperKind::processes, 2, tree.root_fd());
  Owner owner(*pool);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};

  SECTION("when there is none at all") {
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    pool->submit(job_for("small"), 1);
    pool->submit(job_for("small"), 2);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(pool->counters().started == 0);
    CHECK(owner.collect(2) == tokens(1, 2));
    pool->submit(job_for("small"), 3);
    CHECK(owner.collect(1) == std::vector<Token>{3});
    CHECK(pool->counters().started == 1);
  }
  SECTION("but wait for the helper there is") {
    pool->submit(job_for("small"), 1);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    pool->submit(job_for("small"), 2);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(pool->counters().queued_most == 1);
    CHECK(owner.collect(2) == tokens(1, 2));
    CHECK(pool->counters().started == 1);
  }
  CHECK(pool->counters().died == 0);
}

TEST_CASE("helper processes end with their owner, even when it is killed", "[helper_pool]") {
  const Tree tree;
  std::array<int, 2> told{};
  REQUIRE(::pipe2(told.data(), O_CLOEXEC) == 0);
  const pid_t owner_process = ::fork();
  REQUIRE(owner_process >= 0);
  if (owner_process == 0) {
    [&]() noexcept {  // a failure in here must not go on with the other tests
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const auto pool = make_helper_pool(HelperKind::processes, 1, tree.root_fd());
      Owner owner(*pool);
      pool->submit(job_for("small"), 1);
      owner.collect(1);
      REQUIRE(::write(told[1], "x", 1) == 1);
      for (;;) ::pause();
    }();
  }
  ::close(told[1]);
  char started = 0;
  REQUIRE(::read(told[0], &started, 1) == 1);
  const std::vector<pid_t> helpers = helpers_of(owner_process);
  REQUIRE(helpers.size() == 1);
  const int helper = static_cast<int>(::syscall(SYS_pidfd_open, helpers[0], 0));
  REQUIRE(helper >= 0);

  REQUIRE(::kill(owner_process, SIGKILL) == 0);
  REQUIRE(::waitpid(owner_process, nullptr, 0) == owner_process);
  pollfd ended{helper, POLLIN, 0};
  CHECK(::poll(&ended, 1, at_most_ms) == 1);
  ::close(helper);
  ::close(told[0]);
}
