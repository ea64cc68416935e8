// The whole program, mounted. Where that cannot be, the tests say so and are skipped; the model is tested without it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/catch.h"
#include "tests/workloads/temp_dir.h"
#include "workloads/workload.h"

using namespace bakeoff;
namespace fs = std::filesystem;

namespace {

fs::path program() { return fs::read_symlink("/proc/self/exe").parent_path() / "bakeoff-slowdisk"; }

bool can_mount() {
  std::string why;
  if (!fs::exists(program())) {
    why = "bakeoff-slowdisk was not built (libfuse3-dev is missing)";
  } else if (const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC); fd < 0) {
    why = "/dev/fuse is missing or may not be opened";
  } else {
    ::close(fd);
    return true;
  }
  WARN("skipped: " << why);
  return false;
}

class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments) {
    std::array<int, 2> out{}, err{};
    REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(err.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    std::vector<std::string> words = {program()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    REQUIRE(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (pid_ > 0) end(SIGTERM);
    ::close(out_);
    ::close(err_);
  }

  nlohmann::json line() { return nlohmann::json::parse(read_line(out_), nullptr, false); }
  std::string error_line() { return read_line(err_); }

  int end(int signal) {
    if (signal != 0) ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static std::string read_line(int fd) {
    std::string line;
    for (char c; !line.ends_with('\n');) {
      pollfd wait{fd, POLLIN, 0};
      if (::poll(&wait, 1, 30'000) != 1 || ::read(fd, &c, 1) != 1) break;
      line += c;
    }
    return line;
  }

  pid_t pid_ = 0;
  int out_ = -1, err_ = -1;
};

// Forty files of 64 KiB, in /d00000, on a disk that takes `access` for each request and does eight at once.
struct Mounted {
  TempDir dir;
  fs::path root = dir.path() / "mnt";
  Workload workload;
  std::unique_ptr<Program> slowdisk;

  Mounted(const std::string& access, const std::string& cache) {
    std::ofstream(dir.path() / "w.toml") << "kind = \"synthetic\"\nfiles = 40\nsizes = 65536\n";
    workload = load_workload((dir.path() / "w.toml").string());
    start(access, cache);
  }
  void start(const std::string& access, const std::string& cache, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {root,         "--workload",     dir.path() / "w.toml", "--disk", "constant",
                                      "--disk-set", "seek=" + access, "--disk-set",          "rate=0", "--cache",
                                      cache};
    words.insert(words.end(), more.begin(), more.end());
    slowdisk = std::make_unique<Program>(words);
    const nlohmann::json ready = slowdisk->line();
    REQUIRE(ready.value("event", "") == "ready");
    REQUIRE(ready.value("files", 0) == 40);
  }
  std::string path(std::uint32_t file) const { return root.string() + workload.files[file].path; }

  bool is_mounted() const {
    struct stat here {
    }, above{};
    return ::stat(root.c_str(), &here) == 0 && ::stat(dir.path().c_str(), &above) == 0 && here.st_dev != above.st_dev;
  }
};

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A mapping of a whole file, to ask the kernel which of its pages are in memory.
class Mapping {
 public:
  Mapping(const std::string& path, std::size_t bytes) : bytes_(bytes) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    address_ = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    REQUIRE(address_ != MAP_FAILED);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(address_, bytes_); }
  std::size_t resident_pages() const {
    std::vector<unsigned char> pages(bytes_ / 4096);
    REQUIRE(::mincore(address_, bytes_, pages.data()) == 0);
    std::size_t count = 0;
    for (const unsigned char page : pages) count += page & 1;
    return count;
  }
  char at(std::size_t offset) const { return static_cast<const volatile char*>(address_)[offset]; }

 private:
  std::size_t bytes_;
  void* address_;
};

// Eviction goes on beside the readers: waits for it, at most ten seconds.
template <class Condition>
bool comes_true(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

double seconds_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("files have their bytes, cost the disk once, and the mount ends clean") {
  if (!can_mount()) return;
  Mounted mounted("1ms", "0");
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < 40; ++i) {
      const std::string bytes = slurp(mounted.path(i));
      REQUIRE(bytes.size() == 65536);
      REQUIRE(content_matches(mounted.workload.files[i].content_seed, 0, bytes));
    }
  }
  CHECK_FALSE(fs::exists(mounted.root / "d00000" / "none"));
  CHECK(std::distance(fs::directory_iterator(mounted.root / "d00000"), fs::directory_iterator()) == 40);
  CHECK(::open(mounted.path(0).c_str(), O_WRONLY | O_CLOEXEC) < 0);
  CHECK(mounted.is_mounted());
  CHECK(mounted.slowdisk->end(SIGTERM) == 0);
  CHECK_FALSE(mounted.is_mounted());
  const nlohmann::json statistics = mounted.slowdisk->line();
  // The kernel may have reclaimed a few pages between the rounds, and asked for those again.
  CHECK(statistics.value("read_bytes", 0) >= 40 * 65536);
  CHECK(statistics.value("read_bytes", 0) < 44 * 65536);
  CHECK(statistics.value("resident_bytes", 0) == 40 * 65536);
  CHECK(statistics.value("dropped_bytes", -1) == 0);
  CHECK(statistics.value("mean_service_ms", 0.0) == Approx(1.0));
}

TEST_CASE("residency is real: what is beyond the bound is not in memory, mapped or not") {
  if (!can_mount()) return;
  Mounted mounted("1ms", "640K");  // ten files
  const Mapping first(mounted.path(0), 65536), last(mounted.path(39), 65536);
  CHECK(first.resident_pages() == 0);
  std::string expected(1, '\0');
  content(mounted.workload.files[0].content_seed, 0, expected);
  CHECK(first.at(0) == expected[0]);  // a page fault through the slow disk
  slurp(mounted.path(0));
  CHECK(first.resident_pages() == 16);
  for (std::uint32_t i = 1; i < 40; ++i) slurp(mounted.path(i));
  CHECK(comes_true([&] { return first.resident_pages() == 0; }));
  CHECK(last.resident_pages() == 16);
  CHECK(first.at(0) == expected[0]);
  CHECK(mounted.slowdisk->end(SIGTERM) == 0);
  const nlohmann::json statistics = mounted.slowdisk->line();
  CHECK(statistics.value("resident_bytes", 0) == 640 * 1024);
  CHECK(statistics.value("dropped_bytes", 0) >= 30 * 65536);
}

TEST_CASE("a filled cache is full of what is asked for, and cost the disk nothing") {
  if (!can_mount()) return;
  Mounted mounted("1ms", "0");
  mounted.slowdisk.reset();
  mounted.start("1s", "640K", {"--prefill"});
  std::size_t resident = 0;
  for (std::uint32_t file = 0; file < 40; ++file) resident += Mapping(mounted.path(file), 65536).resident_pages();
  CHECK(resident == 160);
  CHECK(mounted.slowdisk->end(SIGTERM) == 0);
  const nlohmann::json statistics = mounted.slowdisk->line();
  CHECK(statistics.value("reads", -1) == 0);
  CHECK(statistics.value("resident_bytes", 0) == 640 * 1024);
  CHECK(statistics.value("seconds", 60.0) < 30);
}

TEST_CASE("sendfile and page faults wait for the disk, and only their caller does") {
  if (!can_mount()) return;
  constexpr double disk_s = 1;  // longer than a busy machine keeps a thread from the processor
  Mounted mounted("1s", "0");
  slurp(mounted.path(0));
  std::array<int, 2> pair{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  const int file = ::open(mounted.path(1).c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0);
  const Mapping mapping(mounted.path(2), 65536);

  std::atomic<int> waiting{2};
  double sendfile_s = 0, fault_s = 0;
  std::thread sender([&] {
    sendfile_s = seconds_of([&] { ::sendfile(pair[0], file, nullptr, 4096); });
    --waiting;
  });
  std::thread faulter([&] {
    fault_s = seconds_of([&] { mapping.at(0); });
    --waiting;
  });
  const std::string warm = slurp(mounted.path(0));
  const int still_waiting = waiting;
  sender.join();
  faulter.join();
  CHECK(warm.size() == 65536);
  CHECK(still_waiting == 2);
  CHECK(sendfile_s >= disk_s);
  CHECK(fault_s >= disk_s);
  const int again = ::open(mounted.path(1).c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(seconds_of([&] { ::sendfile(pair[0], again, nullptr, 4096); }) < disk_s);
  for (const int fd : {file, again, pair[0], pair[1]}) ::close(fd);
}

TEST_CASE("eight arms serve eight readers in the time of one") {
  if (!can_mount()) return;
  Mounted mounted("200ms", "0");
  const double all_s = seconds_of([&] {
    std::vector<std::thread> readers;
    for (std::uint32_t i = 0; i < 8; ++i) {
      readers.emplace_back([&, i] {
        char byte;
        const int fd = ::open(mounted.path(i).c_str(), O_RDONLY | O_CLOEXEC);
        if (::pread(fd, &byte, 1, 0) != 1) std::abort();
        ::close(fd);
      });
    }
    for (std::thread& reader : readers) reader.join();
  });
  CHECK(all_s >= 0.2);
  CHECK(all_s < 8 * 0.2);
}

TEST_CASE("what a killed one leaves behind is replaced") {
  if (!can_mount()) return;
  Mounted mounted("1ms", "0");
  CHECK(mounted.slowdisk->end(SIGKILL) == 128 + SIGKILL);
  struct stat status {};
  CHECK(::stat(mounted.root.c_str(), &status) != 0);
  mounted.start("1ms", "0");
  CHECK(slurp(mounted.path(3)).size() == 65536);
  CHECK(mounted.slowdisk->end(SIGTERM) == 0);
  CHECK_FALSE(mounted.is_mounted());
}

TEST_CASE("it ends while readers wait, and they do not hang") {
  if (!can_mount()) return;
  Mounted mounted("5s", "64K");
  std::atomic<pid_t> reader_id{0};
  std::thread reader([&] {
    char byte;
    const int fd = ::open(mounted.path(0).c_str(), O_RDONLY | O_CLOEXEC);
    reader_id = ::gettid();
    static_cast<void>(::pread(fd, &byte, 1, 0) == 1);  // the byte or an error: either is an end
    ::close(fd);
  });
  const auto waits_for_disk = [&] {
    const std::string status = slurp("/proc/self/task/" + std::to_string(reader_id) + "/stat");
    const std::size_t name_end = status.rfind(')');
    return name_end != std::string::npos && status.substr(name_end, 3) == ") D";
  };
  CHECK(comes_true([&] { return reader_id != 0 && waits_for_disk(); }));
  CHECK(seconds_of([&] { CHECK(mounted.slowdisk->end(SIGTERM) == 0); }) < 5);
  reader.join();
  CHECK_FALSE(mounted.is_mounted());
}

TEST_CASE("what is wrong is said in a line") {
  if (!fs::exists(program())) {
    WARN("skipped: bakeoff-slowdisk was not built (libfuse3-dev is missing)");
    return;
  }
  const TempDir dir;
  struct Row {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{}, "bakeoff-slowdisk: where to mount is missing; give a directory\n"},
      {{dir.path() / "m"}, "bakeoff-slowdisk: which files to show is missing; give --workload NAME\n"},
      {{dir.path() / "m", "-w", "single-file", "--disk", "tape"},
       "bakeoff-slowdisk: there is no disk `tape`; there are constant, scsi10k, ssd, or give a TOML file\n"},
      {{dir.path() / "m", "-w", "single-file", "--arms", "0"},
       "bakeoff-slowdisk: arms=0: arms: expected an integer from 1 to 1024, got 0\n"},
      {{dir.path() / "m", "--frobnicate"}, "bakeoff-slowdisk: unrecognised option '--frobnicate'; see --help\n"},
  };
  for (const Row& row : rows) {
    Program wrong(row.arguments);
    CHECK(wrong.error_line() == row.message);
    CHECK(wrong.end(0) == 2);
  }
}
