// httperf's session logs (--wsesslog), read and written as httperf 0.9 does (src/gen/wsesslog.c, src/gen/session.c):
// one request per line; a blank line ends a session; a line that begins with white space joins the burst before it,
// any other begins one; '#' in the first column begins a comment, which ends nothing. After the URI: method=M, think=S
// (seconds after this burst), contents=C, bare or in quotes.
#pragma once

#include <fstream>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/load/model.h"
#include "harness/load/source.h"

namespace bakeoff {

struct LogRequest {
  std::string method = "GET";
  std::string uri;
  std::string contents;
  bool operator==(const LogRequest&) const = default;
};

struct LogBurst {
  std::vector<LogRequest> requests;  // the first goes alone; when its reply is there, the rest go together
  double think_s = 0;                // after the burst, unless it is the session's last
  bool operator==(const LogBurst&) const = default;
};

struct LogSession {
  std::vector<LogBurst> bursts;
  bool operator==(const LogSession&) const = default;
};

// Reads one session after another and holds no more than one, so that a log may have any length.
class SessionLogReader {
 public:
  // name: for messages. think_s: of bursts that do not say it. The stream must outlive the reader.
  SessionLogReader(std::istream& in, std::string name, double think_s)
      : in_(in), name_(std::move(name)), think_s_(think_s) {}

  // Empty at the end. UsageError, with file and line, for an invalid argument and for a line above 16 MiB.
  std::optional<LogSession> next();

 private:
  void read_arguments(std::string line, std::size_t at, LogBurst& burst);
  bool read_line(std::string& line);

  std::istream& in_;
  std::string name_;
  double think_s_;
  std::size_t line_number_ = 0;
};

// think_s: bursts that have this one do not say it.
void write_session(std::ostream& out, const LogSession& session, double think_s);

// Draws a session from a workload, as SessionModel would run it; what the format cannot say (active off-periods) is
// left out.
LogSession draw_session(const Workload& workload, RequestSource& source);

// A log as it can be read as often as it takes, by any number of processes: a file as it is, anything else (a pipe, a
// terminal, a device) as a copy that is made once.
class RereadableLog {
 public:
  // Reads the first `sessions` of it, to report their faults before a run. UsageError when it cannot
  // be opened, has no session or does not parse, and for more than 256 MiB from a pipe. BLOCKS: disk.
  RereadableLog(const std::string& file, double think_s, std::uint64_t sessions);
  ~RereadableLog();
  RereadableLog(const RereadableLog&) = delete;
  RereadableLog& operator=(const RereadableLog&) = delete;

  // Where to open it, good as long as this object lives and for children forked meanwhile.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int copy_ = -1;
};

// Replays a log: both when to send and what. Sessions begin by a schedule (httperf's --rate), or each slot runs one
// after another. The templates of the log are used in turn until `sessions` were begun.
class LogModel : public Model {
 public:
  struct Options {
    std::string file;  // as RereadableLog::path() has it
    double think_s = 0;
    std::uint64_t sessions = 0;
    std::uint32_t part = 0;  // this worker takes the sessions part, part + parts, part + 2 parts ...
    std::uint32_t parts = 1;
  };
  // workload, if given, says what the URIs of its files must return. All references must outlive the model. BLOCKS:
  // disk. UsageError when the log cannot be opened. If the log changes during the replay and has no session left, or
  // one that does not parse, no further session begins.
  LogModel(Options options, const RequestFields& fields, const Workload* workload, std::optional<Schedule> schedule,
           std::uint32_t slots);

  void begin(std::int64_t now_ns) override;
  Action next(std::uint32_t slot, std::int64_t now_ns) override;
  void failed(std::uint32_t slot, std::uint32_t unanswered, std::int64_t now_ns) override;
  void connected(std::uint32_t slot) override { ledger_.connected(slot); }
  std::int64_t next_due_ns() const override {
    return schedule_ && begun_sessions_ < mine_ ? schedule_->next_ns() : never_ns;
  }
  void skip() override {
    schedule_->pop();
    ++begun_sessions_;
  }
  // httperf puts no more than 32 requests on one connection and opens up to three more; here all go on one.
  bool bursts() const override { return true; }
  bool opens_first() const override { return false; }
  bool finished() const override { return begun_sessions_ == mine_ && ledger_.all_ended(); }
  SessionCounts sessions() const override { return ledger_.counts(); }

  const ClientRequest& take(std::uint32_t slot);  // the slot's next request, in order

 private:
  struct Slot {
    std::vector<ClientRequest> requests;  // of the session, all bursts
    std::string texts;
    std::vector<std::uint32_t> burst_ends;  // indexes into requests
    std::vector<std::int64_t> think_ns;
    std::uint32_t burst = 0;
    std::uint32_t sent = 0;   // by the model
    std::uint32_t taken = 0;  // by the source
    bool running = false;
    bool thought = true;
  };
  std::optional<LogSession> read();
  void rewind();
  void prepare(Slot& slot, const LogSession& session);

  Options options_;
  const RequestFields& fields_;
  const Workload* workload_;
  std::optional<Schedule> schedule_;
  std::vector<Slot> slots_;
  std::ifstream in_;
  std::unique_ptr<SessionLogReader> reader_;
  std::uint64_t mine_ = 0;  // sessions of this part
  std::uint64_t begun_sessions_ = 0;
  bool first_read_ = true;
  SessionLedger ledger_;
};

class LogSource : public Source {
 public:
  explicit LogSource(LogModel& model) : model_(model) {}
  const ClientRequest& next(std::uint32_t slot) override { return model_.take(slot); }

 private:
  LogModel& model_;
};

}  // namespace bakeoff
