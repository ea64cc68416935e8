#include "harness/plan/hosts.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>
#include <sstream>

#include <boost/asio/ip/address.hpp>

#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

constexpr std::uint32_t most_ranks = 4096;
constexpr std::uint64_t most_hostfile_bytes = 1 << 20;

// Names go through shells: of this host, and of others.
bool is_host_name(const std::string& text) {
  return !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '@';
  });
}

std::uint32_t rank_count(const std::string& text) {
  std::uint32_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc{} && end == text.data() + text.size() && count <= most_ranks ? count : 0;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::vector<std::string> default_agent(const std::string& launcher) {
  if (launcher == "srun") return {"srun", "--overlap", "--quiet", "--nodes=1", "--ntasks=1", "-w"};
  return {"ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"};
}

// Throws UsageError for anything but the address of one interface.
void check_address(const TomlTable& table, const char* key, const std::string& text) {
  namespace ip = boost::asio::ip;
  boost::system::error_code bad;
  ip::address address = ip::make_address(text, bad);
  if (bad) table.fail(key, "expected an IP address, got \"" + visible(text) + "\"");
  if (address.is_v6() && address.to_v6().is_v4_mapped()) address = ip::make_address_v4(ip::v4_mapped, address.to_v6());
  if (address.is_unspecified())
    table.fail(key, "a server would listen to the world; give the address of one interface");
}

std::vector<ClientHost> read_clients(const TomlTable& table, InputFinder& finder) {
  std::vector<ClientHost> clients;
  if (table.has("hostfile")) {
    if (table.has("client_hosts")) table.fail("hostfile", "give it or client_hosts, not both");
    const std::string file = finder.find(table, "hostfile", "hostfile", table.string("hostfile"), {});
    clients = parse_hostfile(read_untrusted(file, most_hostfile_bytes), file);
    if (clients.empty()) table.fail("hostfile", file + " names no host");
  }
  for (const std::string& text : table.strings("client_hosts", {})) {
    clients.push_back(parse_client_host(text));
    if (clients.back().name.empty())
      table.fail("client_hosts",
                 "expected hosts such as \"c1\", or \"c2:4\" for four ranks on one, got \"" + visible(text) + "\"");
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (clients[i].name == clients[k].name)
        table.fail(table.has("hostfile") ? "hostfile" : "client_hosts",
                   clients[i].name + " is named twice; for two ranks on it, say \"" + clients[i].name + ":2\"");
    }
  }
  return clients;
}

}  // namespace

std::uint32_t HostsSpec::ranks() const {
  return std::accumulate(clients.begin(), clients.end(), 0u,
                         [](std::uint32_t sum, const ClientHost& host) { return sum + host.ranks; });
}

ClientHost parse_client_host(const std::string& text) {
  const std::size_t colon = text.find(':');
  ClientHost host{text.substr(0, colon), colon == std::string::npos ? 1 : rank_count(text.substr(colon + 1))};
  if (!is_host_name(host.name) || host.ranks == 0) return {};
  return host;
}

std::vector<ClientHost> parse_hostfile(const std::string& text, const std::string& file_name) {
  std::vector<ClientHost> hosts;
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::vector<std::string> words = words_of(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    ClientHost host{words[0], 1};
    bool good = is_host_name(host.name);
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (words[i].starts_with("slots=")) {
        host.ranks = rank_count(words[i].substr(6));
      } else if (!words[i].starts_with("max_slots=") && !words[i].starts_with("max-slots=")) {
        good = false;
      }
    }
    if (!good || host.ranks == 0)
      throw UsageError(file_name + ":" + std::to_string(number) + ": expected a host and maybe slots=N, got " +
                       visible(line));
    hosts.push_back(std::move(host));
  }
  return hosts;
}

HostsSpec read_hosts(const TomlTable& table, InputFinder& finder) {
  HostsSpec hosts;
  hosts.clients = read_clients(table, finder);
  hosts.launcher = table.one_of("launcher", {"mpirun", "srun"}, "mpirun");
  hosts.agent = table.has("agent") ? words_of(table.string("agent")) : default_agent(hosts.launcher);
  if (hosts.agent.empty()) table.fail("agent", "expected a command that runs another one on a host, such as \"ssh\"");
  if (hosts.agent[0].find('/') != std::string::npos && hosts.agent[0][0] != '/')
    table.fail("agent", "expected a whole path or a word that $PATH finds, got " + hosts.agent[0]);
  hosts.interface = table.string("interface", "");
  hosts.server_host = table.string("server_host", "");
  if (!hosts.server_host.empty() && !is_host_name(hosts.server_host))
    table.fail("server_host", "expected a host's name, got \"" + visible(hosts.server_host) + "\"");
  hosts.server_address = table.string("server_address", "");
  if (!hosts.server_address.empty()) check_address(table, "server_address", hosts.server_address);
  hosts.lost =
      table.one_of("lost_host", {"repeat", "continue"}, "repeat") == "repeat" ? LostHost::repeat : LostHost::go_on;
  if (hosts.any()) return hosts;
  for (const char* key : {"launcher", "interface", "lost_host"}) {
    if (table.has(key)) table.fail(key, "it applies to client hosts; name them too: client_hosts = [\"c1\", \"c2:4\"]");
  }
  if (table.has("agent") && hosts.server_host.empty())
    table.fail("agent", "it applies to other hosts; name client_hosts or server_host too");
  return hosts;
}

}  // namespace bakeoff
