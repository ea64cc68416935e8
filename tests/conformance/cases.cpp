// Sends the cases of tests/conformance/cases to every server binary with every event mechanism, checks each reply
// against the case and against the rules on responses, and compares the servers byte by byte: they share one core,
// so any difference is a fault of an architecture. --others also shows nginx, lighttpd, h2o and apache2, without
// judging them.
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/toml/strict_toml.h"
#include "harness/ground/programs.h"
#include "harness/plan/outside.h"
#include "harness/processes/server_process.h"
#include "tests/support/server_commands.h"
#include "tests/support/temp_dir.h"

namespace bakeoff {
namespace {

constexpr int patience_ms = 20'000;  // only a server that hangs uses it up

struct Case {
  std::string name, rfc, demand, source;
  std::vector<std::string> pieces;  // of what is sent
  std::vector<std::string> expect;
  std::string prefer;  // what ours do, of several that are right; empty: any

  std::string bytes() const {
    std::string all;
    for (const std::string& piece : pieces) all += piece;
    return all;
  }
};

// --- the files ---

int digit_of(char c) {
  const std::size_t at = std::string_view("0123456789abcdef").find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// \r \n \t \\ \xNN, and {TEXT*COUNT}.
std::string unescaped(const std::string& text, const TomlTable& table) {
  std::string all;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      const std::size_t star = text.find('*', i), close = text.find('}', i);
      if (star == std::string::npos || close == std::string::npos || star > close)
        table.fail("send", "expected {TEXT*COUNT}");
      const std::string part = unescaped(text.substr(i + 1, star - i - 1), table);
      for (int n = std::stoi(text.substr(star + 1, close - star - 1)); n > 0; --n) all += part;
      i = close;
    } else if (text[i] != '\\') {
      all += text[i];
    } else {
      const char kind = ++i < text.size() ? text[i] : '\0';
      if (kind == 'x' && i + 2 < text.size() && digit_of(text[i + 1]) >= 0 && digit_of(text[i + 2]) >= 0) {
        all += static_cast<char>(digit_of(text[i + 1]) << 4 | digit_of(text[i + 2]));
        i += 2;
      } else if (kind == 'r' || kind == 'n' || kind == 't' || kind == '\\') {
        all += kind == 'r' ? '\r' : kind == 'n' ? '\n' : kind == 't' ? '\t' : '\\';
      } else {
        table.fail("send", "expected one of \\r \\n \\t \\\\ \\xNN");
      }
    }
  }
  return all;
}

std::vector<Case> read_cases(const std::filesystem::path& directory, const std::string& only) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  std::set<std::string> names;
  for (const auto& file : files) {
    const TomlDocument document = TomlDocument::load(file);
    const std::string source = document.root().string("source");
    for (const TomlTable& table : document.root().tables("case")) {
      Case one{table.string("name"),  table.string("rfc"),     table.string("demand"),    source,
               table.strings("send"), table.strings("expect"), table.string("prefer", "")};
      for (std::string& piece : one.pieces) piece = unescaped(piece, table);
      if (!one.prefer.empty() && std::find(one.expect.begin(), one.expect.end(), one.prefer) == one.expect.end())
        table.fail("prefer", "expected one of `expect`");
      if (!names.insert(one.name).second) table.fail("name", "there are two cases of that name");
      if (one.name.find(only) != std::string::npos) cases.push_back(std::move(one));
    }
    document.finish();
  }
  return cases;
}

// --- one exchange ---

class Socket {
 public:
  explicit Socket(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
      throw StartError(std::string("cannot connect: ") + std::strerror(errno));
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Sends the pieces, ends its direction, and returns all that comes until the server ends the other.
  std::string exchange(const std::vector<std::string>& pieces) {
    std::string received;
    bool open = true;
    for (std::size_t i = 0; i < pieces.size() && open; ++i) {
      std::string_view left = pieces[i];
      while (!left.empty() && open) {
        const ssize_t sent = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent > 0) left.remove_prefix(static_cast<std::size_t>(sent));
        if (sent < 0 && errno != EAGAIN && errno != EINTR) break;  // refused what follows: what it said comes below
        if (!left.empty()) open = receive(received, POLLIN | POLLOUT);
      }
      // Pieces are to arrive one by one: what the other side's kernel has acknowledged can be read there.
      int unacknowledged = 0;
      while (i + 1 < pieces.size() && ::ioctl(fd_, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged > 0)
        ::sched_yield();
    }
    ::shutdown(fd_, SHUT_WR);
    while (open) open = receive(received, POLLIN);
    return received;
  }

 private:
  // Waits and takes what is there; false at the end.
  bool receive(std::string& received, short events) {
    pollfd wait{fd_, events, 0};
    const int ready = ::poll(&wait, 1, patience_ms);
    if (ready < 0 && errno == EINTR) return true;
    if (ready <= 0) {
      received += "[the server hangs]";
      return false;
    }
    if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
    char piece[65536];
    const ssize_t got = ::recv(fd_, piece, sizeof piece, 0);
    if (got > 0) received.append(piece, static_cast<std::size_t>(got));
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
  }

  int fd_;
};

struct Head {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case

  std::vector<std::string> all(const std::string& name) const {
    std::vector<std::string> values;
    for (const auto& [key, value] : fields) {
      if (key == name) values.push_back(value);
    }
    return values;
  }
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool is_fixdate(const std::string& text) {
  std::tm parts{};
  const char* const end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return end != nullptr && *end == '\0' && text.size() == std::string_view("Sun, 06 Nov 1994 08:49:37 GMT").size();
}

// What a server of files can break of the rules on responses; empty: none.
std::string broken_rule(const Head& head, const std::string& body, bool to_head) {
  const int status = head.status;
  if (status == 101) return "RFC 9110, 7.8: it switches to a protocol that it does not speak";
  const auto one = [&](const char* name) { return head.all(name).size() <= 1; };
  for (const char* name : {"content-length", "content-type", "date", "etag", "last-modified", "location", "server"}) {
    if (!one(name)) return std::string("RFC 9110, 5.3: two fields ") + name;
  }
  const bool informs = status / 100 == 1;
  if ((informs || status == 204) && !head.all("content-length").empty())
    return "RFC 9110, 8.6: Content-Length in a reply that has no content";
  if ((informs || status == 204) && !head.all("transfer-encoding").empty())
    return "RFC 9112, 6.1: Transfer-Encoding in a reply that has no content";
  if (!head.all("content-length").empty() && !head.all("transfer-encoding").empty())
    return "RFC 9112, 6.2: Content-Length beside Transfer-Encoding";
  if (!informs && status < 500 && head.all("date").empty()) return "RFC 9110, 6.6.1: no Date";
  for (const char* name : {"date", "last-modified"}) {
    for (const std::string& date : head.all(name)) {
      if (!is_fixdate(date)) return std::string("RFC 9110, 5.6.7: ") + name + " is no IMF-fixdate: " + date;
    }
  }
  if (!head.all("last-modified").empty() && !head.all("date").empty()) {
    std::tm modified{}, now{};
    ::strptime(head.all("last-modified")[0].c_str(), "%a, %d %b %Y %H:%M:%S GMT", &modified);
    ::strptime(head.all("date")[0].c_str(), "%a, %d %b %Y %H:%M:%S GMT", &now);
    if (::timegm(&modified) > ::timegm(&now)) return "RFC 9110, 8.8.2.1: Last-Modified is later than Date";
  }
  if (status == 405 && head.all("allow").empty()) return "RFC 9110, 15.5.6: 405 without Allow";
  if ((status == 301 || status == 302 || status == 308) && head.all("location").empty())
    return "RFC 9110, 15.4: a redirection without Location";
  if (status == 401 && head.all("www-authenticate").empty()) return "RFC 9110, 15.5.2: 401 without WWW-Authenticate";
  if (status == 426 && head.all("upgrade").empty()) return "RFC 9110, 15.5.22: 426 without Upgrade";
  if (status == 206 || status == 416) return "RFC 9110, 14.2: a part of a file that nobody asked for";
  if (!body.empty() && head.all("content-type").empty()) return "RFC 9110, 8.3: content without Content-Type";
  for (const std::string& tag : head.all("etag")) {
    const std::string_view opaque = tag.starts_with("W/") ? std::string_view(tag).substr(2) : std::string_view(tag);
    if (opaque.size() < 2 || opaque.front() != '"' || opaque.back() != '"' ||
        opaque.substr(1, opaque.size() - 2).find_first_of("\" ") != std::string_view::npos)
      return "RFC 9110, 8.8.3: ETag is no entity tag: " + tag;
  }
  for (const auto& [name, value] : head.fields) {
    if (name.find_first_not_of("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") != std::string::npos ||
        name.empty())
      return "RFC 9110, 5.1: a field name that is no token: " + visible(name);
    if (visible(value, "\t") != value) return "RFC 9110, 5.5: control bytes in " + name;
    if (value != "" && (value.front() == ' ' || value.back() == ' ')) return "RFC 9110, 5.5: blanks around " + name;
  }
  if (to_head && !body.empty()) return "RFC 9110, 9.3.2: content in a reply to HEAD";
  return {};
}

struct Answer {
  std::string outcome;     // "200 400", "none"
  std::string broken;      // a rule on responses
  std::string transcript;  // all bytes, without the value of Date
};

// The requests' methods in their order, as far as the bytes tell: which replies are to HEAD.
std::vector<bool> heads_among(const std::string& bytes) {
  std::vector<bool> heads;
  for (std::size_t at = 0; at != std::string::npos;) {
    const std::size_t get = bytes.find("GET ", at), head = bytes.find("HEAD ", at), post = bytes.find("POST ", at);
    const std::size_t next = std::min({get, head, post});
    if (next == std::string::npos) break;
    heads.push_back(next == head);
    at = next + 4;
  }
  return heads;
}

Answer read_answer(const Case& one, const std::string& received) {
  Answer answer;
  std::string_view left = received;
  const std::vector<bool> heads = heads_among(one.bytes());
  std::size_t replies = 0;
  const auto broken = [&](const std::string& what) {
    if (answer.broken.empty()) answer.broken = what;
  };
  while (!left.empty()) {
    const std::size_t end = left.find("\r\n\r\n");
    if (end == std::string_view::npos || !left.starts_with("HTTP/1.")) {
      answer.outcome += (answer.outcome.empty() ? "" : " ") + std::string("garbage");
      broken("RFC 9112, 4: what is sent is no reply: " + visible(left.substr(0, 60)));
      break;
    }
    Head head;
    std::istringstream lines(std::string(left.substr(0, end + 2)));
    std::string line;
    std::getline(lines, line);
    head.status = line.size() >= 12 ? std::atoi(line.c_str() + 9) : 0;
    if (line.size() < 13 || line[8] != ' ' || line[12] != ' ')
      broken("RFC 9112, 4: a broken status line: " + visible(line));
    while (std::getline(lines, line)) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      const std::size_t colon = line.find(':');
      if (colon == std::string::npos) {
        broken("RFC 9112, 5: a field line without a colon: " + visible(line));
        continue;
      }
      std::string value = line.substr(colon + 1);
      if (value.starts_with(' ')) value.erase(0, 1);
      head.fields.emplace_back(lower(line.substr(0, colon)), value);
    }
    left.remove_prefix(end + 4);
    const bool to_head = replies < heads.size() && heads[replies];
    const bool without = head.status / 100 == 1 || head.status == 204 || head.status == 304;
    if (head.status / 100 != 1) ++replies;
    std::size_t length = without || to_head ? 0 : left.size();
    if (const auto given = head.all("content-length"); !given.empty() && !without && !to_head) {
      length = std::strtoull(given[0].c_str(), nullptr, 10);
      if (length > left.size()) broken("RFC 9112, 6.2: content shorter than Content-Length");
      length = std::min(length, left.size());
    }
    if (!head.all("transfer-encoding").empty() && !without && !to_head) {
      const std::size_t last = left.find("0\r\n\r\n");
      length = last == std::string_view::npos ? left.size() : last + 5;
    }
    const std::string body(left.substr(0, length));
    broken(broken_rule(head, body, to_head));
    left.remove_prefix(length);
    answer.outcome += (answer.outcome.empty() ? "" : " ") + std::to_string(head.status);
  }
  if (answer.outcome.empty()) answer.outcome = "none";
  if (received.find("smuggled content") != std::string::npos) broken("a request was smuggled");
  if (received.find("root:x:") != std::string::npos) broken("a file outside of the root was served");
  if (received.find("[the server hangs]") != std::string::npos) answer.outcome = "hangs";
  answer.transcript = received;
  for (std::size_t at = 0; (at = answer.transcript.find("\r\nDate: ", at)) != std::string::npos; at += 8)
    answer.transcript.replace(at + 8, answer.transcript.find("\r\n", at + 8) - at - 8, "(now)");
  return answer;
}

// --- the servers ---

struct Contender {
  std::string name;  // "sped poll"
  bool ours;
  std::unique_ptr<ServerProcess> process;
  std::map<std::string, Answer> answers;
};

std::vector<Contender> start_ours(Programs& programs, const std::string& root) {
  std::vector<Contender> all;
  for (const std::string& name : Programs::architectures()) {
    const nlohmann::json& description = programs.describe(name);
    std::vector<std::string> pollers = {""};
    if (description.at("options").contains("poller"))
      pollers = description.at("options").at("poller").get<std::vector<std::string>>();
    if (pollers.empty()) pollers = {""};  // it has no event mechanism
    for (const std::string& poller : pollers) {
      Command command{test::own_server(programs, name, root), {}};
      if (!poller.empty()) command.arguments.insert(command.arguments.end(), {"--poller", poller});
      if (description.at("connections_are_workers"))
        command.arguments.insert(command.arguments.end(), {"--workers", "4"});
      all.push_back({name + (poller.empty() ? "" : " " + poller),
                     true,
                     std::make_unique<ServerProcess>(programs.reactor(), name, command),
                     {}});
    }
  }
  return all;
}

void add_others(Programs& programs, const std::string& root, const std::filesystem::path& scratch,
                std::vector<Contender>& all) {
  for (const char* name : {"nginx", "lighttpd", "h2o", "apache2-event"}) {
    const OutsideServer outside = load_outside(name);
    if (!outside.is_installed()) {
      std::fprintf(stderr, "%s is not installed and left out; apt-get install %s\n", name, outside.package.c_str());
      continue;
    }
    const test::OutsideCommand command = test::outside_server(name, 1, 64, root, scratch / name);
    all.push_back(
        {name,
         false,
         std::make_unique<ServerProcess>(programs.reactor(), name, Command{command.arguments, {}}, command.port),
         {}});
  }
}

bool is_right(const Case& one, const Answer& answer, bool ours) {
  if (ours && !one.prefer.empty()) return answer.outcome == one.prefer;
  return std::find(one.expect.begin(), one.expect.end(), answer.outcome) != one.expect.end();
}

// One row a case of which not all is right or some differ from the first of ours.
std::string table(const std::vector<Case>& cases, const std::vector<Contender>& all, const Contender& first) {
  std::vector<const Contender*> columns = {&first};
  for (const Contender& one : all) {
    if (!one.ours) columns.push_back(&one);
  }
  std::string text;
  const auto cell = [&](const std::string& what, std::size_t width) {
    text += what;
    if (what.size() < width) text.append(width - what.size(), ' ');
    text += "  ";
  };
  cell("case", 44);
  cell("ours", 12);
  for (std::size_t c = 1; c < columns.size(); ++c) cell(columns[c]->name, 14);
  text += "demand\n";
  for (const Case& one : cases) {
    bool shown = false;
    for (const Contender* contender : columns) {
      const Answer& answer = contender->answers.at(one.name);
      shown = shown || answer.outcome != first.answers.at(one.name).outcome || !is_right(one, answer, contender->ours);
    }
    if (!shown) continue;
    cell(one.name.substr(0, 44), 44);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Answer& answer = columns[c]->answers.at(one.name);
      cell(answer.outcome + (is_right(one, answer, columns[c]->ours) ? "" : " !") + (answer.broken.empty() ? "" : " *"),
           c == 0 ? 12 : 14);
    }
    text += one.rfc + ": " + one.demand + "\n";
  }
  return text + "!: not what the demand allows. *: a reply breaks a rule on responses.\n";
}

int run(const std::vector<std::string>& words) {
  std::string only, show, directory = BAKEOFF_CASES;
  bool others = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--others") {
      others = true;
    } else if ((words[i] == "--only" || words[i] == "--show") && i + 1 < words.size()) {
      (words[i] == "--only" ? only : show) = words[i + 1];
      ++i;
    } else {
      throw UsageError("`" + words[i] + "` is not known; there are --others, --only TEXT and --show NAME");
    }
  }
  const std::vector<Case> cases = read_cases(directory, show.empty() ? only : show);
  if (cases.empty()) throw UsageError("no case has that in its name");

  const test::TempDir site;
  std::filesystem::permissions(site.path(), std::filesystem::perms::owner_all | std::filesystem::perms::group_read |
                                                std::filesystem::perms::group_exec |
                                                std::filesystem::perms::others_read |
                                                std::filesystem::perms::others_exec);
  site.write("root/a.txt", "a file\n");
  site.write("root/index.html", "<title>the index</title>\n");
  site.write("root/sub/index.html", "<title>the index of sub</title>\n");
  site.write("root/smuggled.txt", "smuggled content\n");
  const std::string root = (site.path() / "root").string();

  Reactor reactor;
  Programs programs(reactor);
  std::vector<Contender> all = start_ours(programs, root);
  if (others) add_others(programs, root, site.path() / "others", all);

  std::size_t faults = 0;
  for (const Case& one : cases) {
    for (Contender& contender : all) {
      const Answer answer = read_answer(one, Socket(contender.process->port()).exchange(one.pieces));
      if (!show.empty())
        std::printf("--- %s, %s: %s %s\n%s\n", one.name.c_str(), contender.name.c_str(), answer.outcome.c_str(),
                    answer.broken.c_str(), visible(answer.transcript, "\n\r").c_str());
      contender.answers[one.name] = answer;
      if (contender.process->has_ended()) throw StartError(contender.name + " " + contender.process->exit_reason());
      if (!contender.ours) continue;
      const Answer& of_first = all.front().answers.at(one.name);
      const auto fault = [&](const std::string& what) {
        ++faults;
        std::fprintf(stderr, "%s: %s: %s\n", one.name.c_str(), contender.name.c_str(), what.c_str());
      };
      if (!is_right(one, answer, true)) {
        std::string allowed;
        for (const std::string& outcome : one.expect) allowed += (allowed.empty() ? "" : ", ") + outcome;
        fault("answered " + answer.outcome + " where " + (one.prefer.empty() ? allowed : one.prefer) + " is right (" +
              one.rfc + ": " + one.demand + ")");
      }
      if (!answer.broken.empty()) fault(answer.broken);
      if (answer.transcript != of_first.transcript)
        fault("its bytes differ from those of " + all.front().name + ": " + visible(answer.transcript) +
              " instead of " + visible(of_first.transcript));
    }
  }
  if (others) {
    std::cout << table(cases, all, all.front());
    for (const Contender& contender : all) {
      std::size_t right = 0;
      std::map<std::string, std::size_t> broken;
      for (const Case& one : cases) {
        const Answer& answer = contender.answers.at(one.name);
        right += is_right(one, answer, contender.ours) ? 1 : 0;
        if (!answer.broken.empty()) ++broken[answer.broken.substr(0, 60)];
      }
      std::printf("%-28s %zu of %zu right\n", contender.name.c_str(), right, cases.size());
      for (const auto& [rule, count] : broken) std::printf("%30zu times  %s\n", count, rule.c_str());
      std::fflush(stdout);
    }
  }
  for (Contender& contender : all) {
    contender.process->stop();
    if (contender.ours && !contender.process->stopped_in_order()) {
      ++faults;
      std::fprintf(stderr, "%s did not end in order\n", contender.name.c_str());
    }
  }
  std::fprintf(stderr, "%zu cases, %zu servers, %zu faults of ours\n", cases.size(), all.size(), faults);
  return faults == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bakeoff

int main(int argc, char** argv) {
  try {
    return bakeoff::run({argv + 1, argv + argc});
  } catch (const bakeoff::Interrupted&) {
    return 130;
  } catch (const bakeoff::UsageError& error) {
    std::fprintf(stderr, "conformance-cases: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "conformance-cases: %s\n", error.what());
    return 4;
  }
}
