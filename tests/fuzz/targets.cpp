#include "tests/fuzz/targets.h"

#include <algorithm>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/toml/strict_toml.h"
#include "harness/load/reply_parser.h"
#include "harness/load/session_log.h"
#include "results/export.h"
#include "results/histogram.h"
#include "results/model.h"
#include "results/tables.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/server_side.h"
#include "workloads/access_log.h"

namespace bakeoff::fuzz {
namespace {

struct ReadReply {
  bool malformed = false, complete = false;
  int status = 0;
  std::string body;
  std::size_t consumed = 0;
  bool operator==(const ReadReply&) const = default;
};

ReadReply read_reply(std::string_view bytes, bool to_head, std::size_t step) {
  ReplyParser parser;
  parser.begin(to_head);
  ReadReply read;
  for (std::size_t at = 0; at < bytes.size() && !read.complete && !read.malformed;) {
    const Block block(bytes.substr(at, step));
    std::string_view left = block.view();
    while (!left.empty() && !read.complete && !read.malformed) {
      const ReplyParser::Step taken = parser.next(left);
      must(taken.consumed <= left.size(), "a reply consumes what there is");
      must(taken.consumed > 0 || taken.state != ReplyParser::State::more, "a reply goes on");
      read.body += taken.body;
      read.consumed += taken.consumed;
      read.complete = taken.state == ReplyParser::State::complete;
      read.malformed = taken.state == ReplyParser::State::malformed;
      left.remove_prefix(taken.consumed);
    }
    at += std::min(step, bytes.size() - at);
  }
  if (!read.complete && !read.malformed) read.complete = parser.end_of_stream();
  if (read.complete) read.status = parser.status();
  // How much was read before a fault shows depends on the pieces, and so does whether it shows before the end.
  if (!read.complete) read = {.malformed = true, .body = {}};
  return read;
}

void reply(std::string_view bytes) {
  if (bytes.empty()) return;
  const bool to_head = (bytes[0] & 1) != 0;
  const std::size_t step = 1 + static_cast<unsigned char>(bytes[0]) / 2 % 9;
  bytes.remove_prefix(1);
  const ReadReply at_once = read_reply(bytes, to_head, bytes.size() + 1);
  must(read_reply(bytes, to_head, step) == at_once, "a reply in pieces is the reply at once");
  if (to_head && at_once.complete) must(at_once.body.empty(), "a reply to HEAD has no body");
}

void session_log(std::string_view bytes) {
  std::istringstream in{std::string(bytes)};
  SessionLogReader reader(in, "fuzz", 0);
  try {
    while (const auto session = reader.next()) {
      // A target cannot begin with #, and where it stands first it would be read as a comment.
      if (session->bursts.front().requests.front().uri.starts_with('#')) continue;
      std::stringstream again;
      write_session(again, *session, 0);
      SessionLogReader second(again, "again", 0);
      const auto read = second.next();
      must(read.has_value(), "a session that was written is read");
      must(read->bursts.size() == session->bursts.size(), "and has as many bursts");
    }
  } catch (const UsageError&) {
  }
}

void access_log(std::string_view bytes) {
  const Block block(bytes);
  const auto entry = parse_log_line(block.view());
  if (!entry) return;
  must(entry->body_bytes >= 0, "a size is not negative");
  must(!entry->method.empty(), "a request has a method");
}

void toml(std::string_view bytes) {
  try {
    const TomlDocument document = TomlDocument::parse(bytes, "fuzz");
    const TomlTable root = document.root();
    for (const std::string& key : root.keys()) {
      try {
        if (root.is_table(key)) {
          root.table(key)->keys();
        } else if (root.is_list(key)) {
          root.texts(key);
        } else {
          root.text(key);
        }
        root.duration_s(key, {0, 10}, 1);
        root.bytes(key, {0, 100}, 1);
      } catch (const UsageError&) {
      }
    }
    document.finish();
  } catch (const UsageError&) {
  }
}

void result(std::string_view bytes) {
  try {
    const ExperimentResult read = result_from_json(parse_untrusted(bytes, "fuzz"));
    TableStyle style;
    const std::string text = is_micro(read) ? scaling(read, style) : tables(read, style);
    must(visible(text, "\n") == text, "no terminal obeys a table");
    for (const ExportFormat& format : export_formats()) format.write(read);
  } catch (const UsageError&) {
  } catch (const nlohmann::json::exception&) {  // main() has a sentence for it
  }
}

void trial(std::string_view bytes) {
  try {
    const nlohmann::json json = parse_untrusted(bytes, "fuzz");
    if (json.is_object() && json.contains("buckets")) {
      Histogram histogram = Histogram::from_json(json);
      histogram.percentile_ns(0.99);
    } else {
      trial_from_json(json);
    }
  } catch (const UsageError&) {
  } catch (const nlohmann::json::exception&) {
  } catch (const std::runtime_error&) {
  }
}

void text(std::string_view bytes) {
  const std::string shown = visible(bytes);
  must(visible(shown) == shown, "what is visible stays");
  for (const char c : shown) must(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "nothing that is obeyed");
}

std::string small_result() {
  const nlohmann::json figure = {{"median", 1.5}, {"lower", nullptr}, {"upper", 2}, {"n", 3}};
  nlohmann::json summary = nlohmann::json::object();
  for (const MetricName& metric : metric_table) {
    (*metric.group == '\0' ? summary[metric.name] : summary[metric.group][metric.name]) = figure;
  }
  const nlohmann::json cell = {{"id", "sped/connections=4"},
                               {"server", "sped"},
                               {"architecture", "sped"},
                               {"variant", ""},
                               {"options", nlohmann::json::object()},
                               {"workload", "single-file"},
                               {"workload_set", nlohmann::json::object()},
                               {"load", {{"model", "closed"}, {"rate", nullptr}, {"bodies", "copied"}}},
                               {"workers", 1},
                               {"connections", 4},
                               {"trials", nlohmann::json::array()},
                               {"valid", true},
                               {"reasons", {"a reason"}},
                               {"void_trials", 0},
                               {"is_final", true},
                               {"summary", summary}};
  return nlohmann::json{{"schema_version", result_schema_version},
                        {"experiment",
                         {{"name", "x"},
                          {"spec_sha256", ""},
                          {"complete", true},
                          {"ranked_by", "replies_per_s"},
                          {"warm_ups", nlohmann::json::array()}}},
                        {"environment", nlohmann::json::object()},
                        {"cells", {cell}},
                        {"best",
                         {{{"server", "sped"},
                           {"cell", "sped/connections=4"},
                           {"contest", ""},
                           {"rank_from", 1},
                           {"rank_to", 1},
                           {"of_first", figure}}}},
                        {"peaks", nlohmann::json::array()}}
      .dump();
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {
      {"request",
       "the servers' parser of requests",
       request,
       {"GET /a.txt?q#f HTTP/1.1\r\nHost: a\r\nConnection: close\r\nIf-None-Match: \"x\", W/\"y\"\r\n\r\n",
        "POST http://h:80/ HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        "HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n"}},
#ifdef BAKEOFF_LLHTTP
      {"llhttp",
       "the servers' parser beside llhttp's",
       beside_llhttp,
       {"GET /a.txt?q#f HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\nUpgrade: x\r\n\r\n",
        "\r\nHEAD http://h:80/ HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n"}},
#endif
      {"target",
       "names below the root",
       target,
       {"/", "/a/../b/./c//d%2e%2E/?q=/../#f", "/%00", "*", "/sub/index.html"}},
      {"conditional",
       "conditional fields and dates",
       conditional,
       {"-\n\"a\", W/\"b\", *\nSun, 06 Nov 1994 08:49:37 GMT\n", "*\n-\n\nSunday, 06-Nov-94 08:49:37 GMT",
        "-\n-\nSun Nov  6 08:49:37 1994\nSun Nov  6 08:49:37 1994"}},
      {"reply",
       "the client's parser of replies",
       reply,
       {"\x02HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "\x04HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: "
        "y\r\n\r\n",
        "\x03HTTP/1.0 304 Not Modified\r\n folded\r\n\r\n", "\x08HTTP/1.0 200 OK\r\n\r\nto the end"}},
      {"session_log",
       "httperf's session logs",
       session_log,
       {"# a comment\n/a method=POST contents='x y' think=2.5\n\t/b\n\t/c size=10\n\n/d think=1\n/e\n"}},
      {"access_log",
       "lines of access logs",
       access_log,
       {"1.2.3.4 - - [06/Nov/1994:08:49:37 +0000] \"GET /a HTTP/1.1\" 200 123 \"-\" \"agent\"",
        R"({"ts":784111777.5,"request":{"method":"GET","uri":"/a"},"status":200,"size":12})",
        R"({"time_iso8601":"1994-11-06T08:49:37+00:00","request":"GET /a HTTP/1.1","status":"200","bytes":"5"})"}},
      {"toml",
       "specifications",
       toml,
       {"title = \"x\"\n[workload]\nname = \"single-file\"\nset = { size = \"1KB\" }\n[load]\nconnections = [1, 2]\n"
        "duration = \"3s\"\n[[server]]\narchitecture = \"sped\"\n"}},
      {"result", "result.json, its tables and exports", result, {small_result()}},
      {"trial",
       "lines of trials.jsonl, histograms",
       trial,
       {R"({"schema_version":1,"phase":"sweep","block":0,"cell":"x","attempt":1})",
        R"({"unit":"ns","sub_bucket_bits":7,"count":2,"sum":30,"max":20,"buckets":[[10,1],[20,1]]})"}},
      {"text", "what is printed of untrusted text", text, {"plain \xc3\xa9 \x1b[31m \xff \xe2\x80\xae"}},
  };
  return all;
}

}  // namespace bakeoff::fuzz
