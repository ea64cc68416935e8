#include "harness/load/session_log.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ostream>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {

namespace {

constexpr std::array<std::string_view, 9> methods = {"DELETE", "GET",      "HEAD",   "OPTIONS", "POST",
                                                     "PUT",    "PROPFIND", "REPORT", "TRACE"};

constexpr std::size_t longest_line = 16 << 20;
constexpr std::size_t most_copied_bytes = 256 << 20;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The next run of characters that are no white space, from `at` on, which goes behind it.
std::string_view next_word(const std::string& line, std::size_t& at) {
  while (at < line.size() && is_space(line[at])) ++at;
  const std::size_t start = at;
  while (at < line.size() && !is_space(line[at])) ++at;
  return std::string_view(line).substr(start, at - start);
}

}  // namespace

bool SessionLogReader::read_line(std::string& line) {
  line.clear();
  std::streambuf& bytes = *in_.rdbuf();
  constexpr int end = std::char_traits<char>::eof();
  int byte = bytes.sbumpc();
  if (byte == end) return false;
  ++line_number_;
  for (; byte != end && byte != '\n'; byte = bytes.sbumpc()) {
    if (line.size() == longest_line)
      throw UsageError(name_ + ":" + std::to_string(line_number_) +
                       ": a line of more than 16 MiB; this is not a session log");
    line += static_cast<char>(byte);
  }
  return true;
}

std::optional<LogSession> SessionLogReader::next() {
  LogSession session;
  std::string line;
  while (read_line(line)) {
    if (!line.empty() && line[0] == '#') continue;
    std::size_t at = 0;
    const std::string_view uri = next_word(line, at);
    if (uri.empty()) {
      if (!session.bursts.empty()) return session;
      continue;
    }
    if (session.bursts.empty() || !is_space(line[0])) session.bursts.push_back({{}, think_s_});
    LogBurst& burst = session.bursts.back();
    burst.requests.push_back({"GET", std::string(uri), ""});
    read_arguments(std::move(line), at, burst);
  }
  if (session.bursts.empty()) return std::nullopt;
  return session;
}

// By value: an escaped end of line makes it go on in the next one.
void SessionLogReader::read_arguments(std::string line, std::size_t at, LogBurst& burst) {
  LogRequest& request = burst.requests.back();
  for (;;) {
    std::size_t end = at;
    const std::string_view word = next_word(line, end);
    if (word.empty()) return;
    const auto refuse = [&](const std::string& why) {
      return UsageError(name_ + ":" + std::to_string(line_number_) + ": " + why + " in \"" + std::string(word) +
                        "\"; expected method=, think= or contents=");
    };
    const std::size_t equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? std::string_view{} : word.substr(equals + 1);
    if (value.empty()) throw refuse("no value");
    if (key == "method") {
      const auto found = std::find_if(methods.begin(), methods.end(),
                                      [&](std::string_view method) { return value.starts_with(method); });
      if (found == methods.end()) throw refuse("unknown method");
      request.method = *found;
      at = end;
    } else if (key == "think") {
      const std::string number(value);
      char* stop = nullptr;
      burst.think_s = std::strtod(number.c_str(), &stop);
      if (stop == number.c_str() || !std::isfinite(burst.think_s) || burst.think_s < 0)
        throw refuse("no number of seconds");
      at = end;
    } else if (key == "contents") {
      // Quotes of either kind may begin and end anywhere in it, and a backslash takes the next character as it is.
      std::string contents;
      char quote = '\0';
      at = end - value.size();
      for (;; ++at) {
        if (at >= line.size()) {
          if (quote != '\0') contents += '\n';
          break;
        }
        const char c = line[at];
        if (c == '\\') {
          if (++at >= line.size()) {
            contents += '\n';
            if (!read_line(line))
              throw UsageError(name_ + ":" + std::to_string(line_number_) +
                               ": the log ends in the middle of contents=");
            at = static_cast<std::size_t>(-1);
            continue;
          }
          const char escaped = line[at];
          contents += escaped == 'n' ? '\n' : escaped == 'r' ? '\r' : escaped == 't' ? '\t' : escaped;
        } else if (quote == '\0' && (c == ' ' || c == '\t')) {
          break;
        } else if (c == quote) {
          quote = '\0';
        } else if (quote == '\0' && (c == '"' || c == '\'')) {
          quote = c;
        } else {
          contents += c;
        }
      }
      request.contents = contents;
    } else {
      throw refuse("unknown argument");
    }
  }
}

void write_session(std::ostream& out, const LogSession& session, double think_s) {
  for (const LogBurst& burst : session.bursts)
    for (std::size_t i = 0; i < burst.requests.size(); ++i) {
      const LogRequest& request = burst.requests[i];
      out << (i == 0 ? "" : "\t") << request.uri;
      if (request.method != "GET") out << " method=" << request.method;
      if (i == 0 && burst.think_s != think_s) out << " think=" << burst.think_s;
      if (!request.contents.empty()) {
        out << " contents=\"";
        for (const char c : request.contents) {
          if (c == '\n')
            out << "\\n";
          else if (c == '\r')
            out << "\\r";
          else if (c == '\t')
            out << "\\t";
          else if (c == '"' || c == '\\')
            out << '\\' << c;
          else
            out << c;
        }
        out << '"';
      }
      out << '\n';
    }
  out << '\n';
}

LogSession draw_session(const Workload& workload, RequestSource& source) {
  const auto count = [&](const std::optional<Distribution>& distribution) {
    return distribution
               ? static_cast<std::uint32_t>(std::clamp(std::round(distribution->draw(source.random())), 1.0, 1e6))
               : 1u;
  };
  LogSession session;
  for (std::uint32_t left = count(workload.clients.requests_per_session); left > 0;) {
    LogBurst& burst = session.bursts.emplace_back();
    const std::uint32_t requests = std::min(left, count(workload.clients.requests_per_burst));
    for (std::uint32_t i = 0; i < requests; ++i)
      burst.requests.push_back({"GET", workload.files[source.next()].path, ""});
    if (workload.clients.inactive_off_s) burst.think_s = workload.clients.inactive_off_s->draw(source.random());
    left -= requests;
  }
  return session;
}

namespace {

[[noreturn]] void cannot(const std::string& what, const std::string& file) {
  throw UsageError("cannot " + what + " the session log " + file + ": " + std::strerror(errno));
}

// In memory. Returns its descriptor. BLOCKS: until whoever writes the pipe has ended.
int copy_of(UntrustedFile& from, const std::string& file) {
  const int copy = memfd_create("bakeoff-session-log", MFD_CLOEXEC);
  if (copy < 0) cannot("copy", file);
  std::array<char, 65536> piece;
  std::size_t copied = 0, line = 0;
  for (;;) {
    const std::size_t got = from.read(piece);
    if (got == 0) return copy;
    const std::string_view bytes(piece.data(), got);
    const std::size_t end = bytes.rfind('\n');
    line = end == std::string_view::npos ? line + bytes.size() : bytes.size() - end - 1;
    copied += bytes.size();
    if (line > longest_line)
      throw UsageError("cannot read the session log " + file +
                       ": a line of more than 16 MiB; this is not a session log");
    if (copied > most_copied_bytes)
      throw UsageError("cannot read the session log " + file + ": more than 256 MiB out of a pipe; write it to a file");
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t written = ::write(copy, bytes.data() + at, bytes.size() - at);
      if (written < 0) cannot("copy", file);
      at += static_cast<std::size_t>(written);
    }
  }
}

}  // namespace

RereadableLog::RereadableLog(const std::string& file, double think_s, std::uint64_t sessions) : path_(file) {
  UntrustedFile log(file, "the session log ");
  try {
    if (log.is_pipe()) {
      copy_ = copy_of(log, file);
      path_ = "/proc/self/fd/" + std::to_string(copy_);
    }
    std::ifstream in(path_);
    SessionLogReader reader(in, file, think_s);
    std::uint64_t read = 0;
    while (read < sessions && reader.next()) ++read;
    if (read == 0) throw UsageError("the session log " + file + " has no session");
  } catch (...) {
    if (copy_ >= 0) ::close(copy_);
    throw;
  }
}

RereadableLog::~RereadableLog() {
  if (copy_ >= 0) ::close(copy_);
}

LogModel::LogModel(Options options, const RequestFields& fields, const Workload* workload,
                   std::optional<Schedule> schedule, std::uint32_t slots)
    : options_(std::move(options)),
      fields_(fields),
      workload_(workload),
      schedule_(std::move(schedule)),
      slots_(slots),
      ledger_(slots) {
  BAKEOFF_CHECK(options_.part < options_.parts);
  mine_ = options_.sessions / options_.parts + (options_.part < options_.sessions % options_.parts ? 1 : 0);
  in_.open(options_.file);
  if (!in_) throw UsageError("cannot open the session log " + options_.file);
  rewind();
}

void LogModel::rewind() {
  in_.clear();
  in_.seekg(0);
  reader_ = std::make_unique<SessionLogReader>(in_, options_.file, options_.think_s);
}

void LogModel::begin(std::int64_t now_ns) {
  ledger_.begin(now_ns);
  if (schedule_) schedule_->begin(now_ns);
}

// The next session of this part; behind the log's end it goes on at its beginning. Nothing when the log has changed
// meanwhile and no session can be read any more.
std::optional<LogSession> LogModel::read() {
  std::uint32_t skip = first_read_ ? options_.part : options_.parts - 1;
  first_read_ = false;
  try {
    for (bool any = true;;) {
      std::optional<LogSession> session = reader_->next();
      if (!session) {
        if (!any) return std::nullopt;
        any = false;
        rewind();
      } else if (any = true; skip-- == 0) {
        return session;
      }
    }
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

void LogModel::prepare(Slot& slot, const LogSession& session) {
  slot = Slot{};
  std::vector<std::size_t> starts;
  for (const LogBurst& burst : session.bursts) {
    for (const LogRequest& logged : burst.requests) {
      starts.push_back(slot.texts.size());
      append_request(slot.texts, logged.method, logged.uri, fields_, "", logged.contents);
      ClientRequest request;
      request.text_bytes = static_cast<std::uint32_t>(slot.texts.size() - starts.back());
      request.head = logged.method == "HEAD";
      request.idempotent = logged.method != "POST";
      if (workload_ != nullptr)
        if (const auto index = workload_->files.find(logged.uri); index && logged.method == "GET") {
          const WorkloadFile& file = workload_->files[*index];
          request.expected_bytes = static_cast<std::int64_t>(file.size_bytes);
          request.class_index = file.class_index;
          request.content_seed = file.content_seed;
          request.has_content = true;
        }
      slot.requests.push_back(request);
    }
    slot.burst_ends.push_back(static_cast<std::uint32_t>(slot.requests.size()));
    slot.think_ns.push_back(static_cast<std::int64_t>(std::min(burst.think_s, 1e6) * 1e9));
  }
  for (std::size_t i = 0; i < starts.size(); ++i) slot.requests[i].text = slot.texts.data() + starts[i];
  slot.running = true;
}

Action LogModel::next(std::uint32_t slot_number, std::int64_t now_ns) {
  Slot& slot = slots_[slot_number];
  std::int64_t scheduled_ns = now_ns;
  if (slot.running && slot.sent == slot.requests.size()) {
    ledger_.completed(slot_number, slot.sent, now_ns);
    slot = Slot{};
  }
  if (!slot.running) {
    if (begun_sessions_ == mine_) return Action::end();
    if (schedule_) {
      scheduled_ns = schedule_->next_ns();
      if (scheduled_ns > now_ns) return Action::park();
      schedule_->pop();
    }
    const std::optional<LogSession> session = read();
    if (!session) {
      ledger_.log_lost();
      mine_ = begun_sessions_;
      return Action::end();
    }
    ++begun_sessions_;
    ledger_.started(slot_number, now_ns);
    prepare(slot, *session);
  } else if (slot.sent == slot.burst_ends[slot.burst]) {
    if (slot.thought) {
      slot.thought = false;
      return Action::wait(now_ns + slot.think_ns[slot.burst]);
    }
    slot.thought = true;
    ++slot.burst;
  }
  const std::uint32_t burst_start = slot.burst == 0 ? 0 : slot.burst_ends[slot.burst - 1];
  const std::uint32_t count = slot.sent == burst_start ? 1 : slot.burst_ends[slot.burst] - slot.sent;
  slot.sent += count;
  return Action::send(scheduled_ns, count, slot.sent == slot.requests.size());
}

void LogModel::failed(std::uint32_t slot, std::uint32_t unanswered, std::int64_t now_ns) {
  if (!slots_[slot].running) return;
  ledger_.failed(slot, slots_[slot].sent - unanswered, now_ns);
  slots_[slot] = Slot{};
}

const ClientRequest& LogModel::take(std::uint32_t slot) { return slots_[slot].requests[slots_[slot].taken++]; }

}  // namespace bakeoff
