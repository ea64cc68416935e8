#include "harness/load/source.h"

#include <algorithm>

#include "core/base/errors.h"

namespace bakeoff {

namespace {

bool is_token(std::string_view name) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
  });
}

// `lower_name` is in lower case.
bool same(std::string_view name, std::string_view lower_name) {
  return std::equal(name.begin(), name.end(), lower_name.begin(), lower_name.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; });
}

}  // namespace

RequestFields::RequestFields(const Url& url, const std::vector<std::string>& fields) : host(url.authority) {
  bool own_host = false;
  for (const std::string& field : fields) {
    const auto refuse = [&](const std::string& why) { return UsageError("--header \"" + field + "\": " + why); };
    const std::size_t colon = field.find(':');
    const std::string_view name = std::string_view(field).substr(0, colon);
    if (colon == std::string::npos || !is_token(name)) throw refuse("expected Name: value");
    std::string_view value = std::string_view(field).substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
      throw refuse("a value has one line, and no zero byte");
    if (same(name, "content-length") || same(name, "transfer-encoding"))
      throw refuse("the client itself sets the length of a request's body");
    if (same(name, "host")) {
      if (own_host) throw refuse("there is a Host already");
      own_host = true;
      host = value;
    } else {
      lines.append(name).append(": ").append(value).append("\r\n");
    }
  }
}

void append_request(std::string& text, std::string_view method, std::string_view path, const RequestFields& fields,
                    std::string_view more, std::string_view body) {
  text.append(method)
      .append(" ")
      .append(path)
      .append(" HTTP/1.1\r\nHost: ")
      .append(fields.host)
      .append("\r\n")
      .append(fields.lines)
      .append(more);
  if (!body.empty()) text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  text.append("\r\n").append(body);
}

namespace {

constexpr std::string_view close_field = "Connection: close\r\n";

// Texts move while the string grows, so they are pointed at only when all are there.
void point_at_texts(std::vector<ClientRequest>& requests, const std::string& texts) {
  std::size_t at = 0;
  for (ClientRequest& request : requests) {
    request.text = texts.data() + at;
    at += request.text_bytes;
  }
}

}  // namespace

RequestTable::RequestTable(const Url& url, const RequestFields& fields, const Workload& workload, bool close) {
  if (workload.files.size() == 0) throw UsageError("workload " + workload.name + " has no files");
  std::string prefix = url.path;
  while (!prefix.empty() && prefix.back() == '/') prefix.pop_back();
  for (const WorkloadFile& file : workload.files.files()) {
    ClientRequest request;
    const std::size_t start = texts_.size();
    append_request(texts_, "GET", prefix + file.path, fields, close ? close_field : "", "");
    request.text_bytes = static_cast<std::uint32_t>(texts_.size() - start);
    request.expected_bytes = static_cast<std::int64_t>(file.size_bytes);
    request.class_index = file.class_index;
    request.content_seed = file.content_seed;
    request.has_content = true;
    requests_.push_back(request);
  }
  point_at_texts(requests_, texts_);
}

RequestTable::RequestTable(const Url& url, const RequestFields& fields, std::int64_t expected_bytes, bool close) {
  append_request(texts_, "GET", url.path, fields, close ? close_field : "", "");
  ClientRequest request;
  request.text_bytes = static_cast<std::uint32_t>(texts_.size());
  request.expected_bytes = expected_bytes;
  requests_.push_back(request);
  point_at_texts(requests_, texts_);
}

WorkloadSource::WorkloadSource(const RequestTable& requests, const Workload& workload, std::uint64_t seed,
                               std::uint32_t first_slot, std::uint32_t slots)
    : requests_(requests) {
  sources_.reserve(slots);
  for (std::uint32_t slot = 0; slot < slots; ++slot) sources_.push_back(workload.source(seed, first_slot + slot));
}

}  // namespace bakeoff
