#include "harness/ground/network.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "core/base/errors.h"
#include "harness/ground/slow_disk.h"

namespace bakeoff {
namespace {

constexpr const char* own_network = "/proc/thread-self/ns/net";

[[noreturn]] void fail(const std::string& what) { throw StartError(what + ": " + std::strerror(errno)); }

std::optional<std::string> first_line_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

bool write_file(const char* file, const std::string& text) {
  const int fd = open(file, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  close(fd);
  errno = error;
  return written;
}

// Of those that each network has its own of. A new network has the kernel's defaults.
std::map<std::filesystem::path, std::string> read_sysctls() {
  std::map<std::filesystem::path, std::string> values;
  const auto take = [&](const std::filesystem::path& file) {
    if (const auto value = first_line_of(file)) values[file] = *value;
  };
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/sys/net/ipv4", ignored)) {
    if (entry.path().filename().string().starts_with("tcp_")) take(entry.path());
  }
  for (const char* name : {"ipv4/ip_local_port_range", "ipv4/ip_local_reserved_ports", "core/somaxconn"})
    take(std::filesystem::path("/proc/sys/net") / name);
  return values;
}

// Those of the network that the harness was started in.
const std::map<std::filesystem::path, std::string>& outer_sysctls() {
  static const std::map<std::filesystem::path, std::string> values = read_sysctls();
  return values;
}

void take_over_sysctls() {
  for (const auto& [file, value] : outer_sysctls()) {
    // Some can only be read, or belong to the whole machine: those are the same in every network.
    if (const auto here = first_line_of(file); here && *here != value) write_file(file.c_str(), value);
  }
}

class InterfaceSocket {
 public:
  InterfaceSocket() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~InterfaceSocket() {
    if (fd_ >= 0) close(fd_);
  }
  InterfaceSocket(const InterfaceSocket&) = delete;
  InterfaceSocket& operator=(const InterfaceSocket&) = delete;

  bool ask(unsigned long request, ifreq& about) const {
    std::strcpy(about.ifr_name, "lo");
    return fd_ >= 0 && ioctl(fd_, request, &about) == 0;
  }
  bool ethtool(std::uint32_t command, std::uint32_t& value) const {
    ethtool_value data{command, value};
    ifreq about{};
    about.ifr_data = reinterpret_cast<char*>(&data);
    if (!ask(SIOCETHTOOL, about)) return false;
    value = data.data;
    return true;
  }

 private:
  int fd_;
};

// REQUIRES: the calling thread is in the new network.
void set_up(const NetworkSpec& settings) {
  const InterfaceSocket socket;
  ifreq about{};
  if (settings.mtu) {
    about.ifr_mtu = static_cast<int>(*settings.mtu);
    if (!socket.ask(SIOCSIFMTU, about)) fail("cannot set the MTU to " + std::to_string(*settings.mtu));
  }
  if (!settings.offloads) {
    for (const std::uint32_t command : {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO}) {
      std::uint32_t off = 0;
      if (!socket.ethtool(command, off)) fail("cannot switch the loopback interface's offloads off");
    }
  }
  // The kernel gives it 127.0.0.1 and ::1.
  about = {};
  about.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket.ask(SIOCSIFFLAGS, about)) fail("cannot bring the loopback interface up");
  take_over_sysctls();
}

// Makes the process the owner of a user namespace in which it has its own user and group, and all rights over networks.
void enter_user_namespace() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) fail("not root, and no user namespace can be made");
  const std::string user_map = std::to_string(user) + " " + std::to_string(user) + " 1";
  const std::string group_map = std::to_string(group) + " " + std::to_string(group) + " 1";
  if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", user_map) ||
      !write_file("/proc/self/gid_map", group_map))
    fail("not root, and a user namespace cannot be set up");
}

std::string obstacle_of(const Specification& spec) {
  if (Network::obstacle().empty() && geteuid() != 0 && has_slow_disk(spec))
    return "a slow disk is mounted by fusermount3, which does not work in a user namespace";
  return Network::obstacle();
}

void enter_new_network() {
  outer_sysctls();  // before it is left
  if (unshare(CLONE_NEWNET) == 0) return;
  if (errno != EPERM) fail("no network namespace can be made");
  enter_user_namespace();
}

}  // namespace

Network::Network(const NetworkSpec& settings) {
  const int before = open(own_network, O_RDONLY | O_CLOEXEC);
  if (before < 0) fail("this kernel has no network namespaces");
  try {
    enter_new_network();
    set_up(settings);
    fd_ = open(own_network, O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail("cannot keep a network namespace");
  } catch (...) {
    setns(before, CLONE_NEWNET);
    close(before);
    throw;
  }
  // In a user namespace there is no way back to the network before it; the process stays in the new one between trials.
  setns(before, CLONE_NEWNET);
  close(before);
}

Network::~Network() { close(fd_); }

const std::string& Network::obstacle() {
  static const std::string found = [] {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return std::string("cannot make a pipe: ") + std::strerror(errno);
    const pid_t child = fork();
    if (child == 0) {
      try {
        const Network tried(NetworkSpec{});
      } catch (const std::exception& error) {
        [[maybe_unused]] const ssize_t told = write(ends[1], error.what(), std::strlen(error.what()));
      }
      _exit(0);
    }
    close(ends[1]);
    std::string said;
    char piece[256];
    for (ssize_t got; (got = read(ends[0], piece, sizeof piece)) > 0;)
      said.append(piece, static_cast<std::size_t>(got));
    close(ends[0]);
    if (child < 0) return std::string("cannot try: ") + std::strerror(errno);
    waitpid(child, nullptr, 0);
    return said;
  }();
  return found;
}

Network::Inside::Inside(const Network* network) {
  if (network == nullptr) return;
  before_ = open(own_network, O_RDONLY | O_CLOEXEC);
  if (before_ < 0 || setns(network->fd_, CLONE_NEWNET) != 0) fail("cannot enter the run's own network");
}

Network::Inside::~Inside() {
  if (before_ < 0) return;
  setns(before_, CLONE_NEWNET);
  close(before_);
}

bool has_own_network(const Specification& spec) {
  if (spec.network.own == false) return false;
  const std::string why = obstacle_of(spec);
  if (why.empty()) return true;
  if (spec.network.own || spec.network.mtu || !spec.network.offloads)
    throw StartError("[network]: a network of the run's own is not available: " + why +
                     "; run as root, or leave it out");
  return false;
}

std::string network_note(const Specification& spec) {
  if (spec.network.own == false || has_own_network(spec)) return {};
  return "The trials share ports, TIME_WAIT and packet filters with other programs: no network of the run's own is "
         "available (" +
         obstacle_of(spec) + ").";
}

nlohmann::json describe_network() {
  const InterfaceSocket socket;
  ifreq about{};
  nlohmann::json offloads = nlohmann::json::object();
  for (const auto& [name, command] :
       {std::pair<const char*, std::uint32_t>{"tso", ETHTOOL_GTSO}, {"gso", ETHTOOL_GGSO}, {"gro", ETHTOOL_GGRO}}) {
    std::uint32_t value = 0;
    offloads[name] = socket.ethtool(command, value) ? nlohmann::json(value != 0) : nlohmann::json();
  }
  const auto congestion = first_line_of("/proc/sys/net/ipv4/tcp_congestion_control");
  return {{"interface", "lo"},
          {"mtu", socket.ask(SIOCGIFMTU, about) ? nlohmann::json(about.ifr_mtu) : nlohmann::json()},
          {"offloads", offloads},
          {"congestion_control", congestion ? nlohmann::json(*congestion) : nlohmann::json()}};
}

}  // namespace bakeoff
