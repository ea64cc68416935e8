#include "core/toml/strict_toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <map>
#include <set>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/units.h"
#include "core/base/untrusted.h"

namespace bakeoff {

namespace {
constexpr std::size_t most_file_bytes = 16 << 20;  // no TOML file that a person wrote has more
// toml++ ends tables by recursion, and merge() below recurs. toml++ bounds how deep values nest (256), and not how many
// names a dotted key has: some 30,000 overflow the stack, and 256 times 32 do with a sanitizer.
constexpr int most_names_in_key = 8;
}  // namespace

struct TomlTable::State {
  std::string name;
  std::string text;
  toml::table root;
  // What was asked for, per table that was opened: what may stand there, and what finish() suggests from.
  std::map<const toml::table*, std::set<std::string, std::less<>>> known;
};

namespace {

std::string backticked(std::string_view text) { return "`" + std::string(text) + "`"; }

std::string place(const std::string& name, const toml::source_region& source) {
  const std::string& path = source.path ? *source.path : name;
  if (path != name || !source.begin) return path;  // an override is named by what was typed
  return path + ":" + std::to_string(source.begin.line) + ":" + std::to_string(source.begin.column);
}

// What was typed behind the "=", where the node comes from the command line: its source is named by what was typed.
std::optional<std::string> typed_text(const std::string& document, const toml::node& node) {
  const toml::source_path_ptr& typed = node.source().path;
  if (!typed || *typed == document) return std::nullopt;
  return typed->substr(typed->find('=') + 1);
}

std::string number_text(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, end.ptr);
}

std::string found(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string: return "the string \"" + **node.as_string() + "\"";
    case toml::node_type::integer: return std::to_string(**node.as_integer());
    case toml::node_type::floating_point: return number_text(**node.as_floating_point());
    case toml::node_type::boolean: return **node.as_boolean() ? "true" : "false";
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return node.as_array()->empty() ? "an empty list" : "a list";
    default: return "a date or time";
  }
}

template <class Range, class Show>
std::string range_text(const char* what, const Range& range, Show show) {
  const Range open;
  const std::string least = show(range.least);
  if (range.most != open.most) return std::string(what) + " from " + least + " to " + show(range.most);
  if (range.least != std::numeric_limits<decltype(range.least)>::lowest())
    return std::string(what) + " of at least " + least;
  return what;
}

std::string integer_words(const IntegerRange& range) {
  return range_text("an integer", range, [](std::int64_t value) { return std::to_string(value); });
}
std::string number_words(const NumberRange& range) { return range_text("a number", range, number_text); }
std::string duration_words(const NumberRange& range) {
  return range_text("a duration", range, [](double value) { return number_text(value) + "s"; }) +
         " (\"340ms\", \"15s\", \"2min\")";
}
std::string bytes_words(const IntegerRange& range) {
  return range_text("a size", range, [](std::int64_t value) { return std::to_string(value); }) +
         " bytes (4096, \"100KB\", \"64KiB\")";
}

std::optional<double> duration_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return parse_duration_s(**text);
  return node.value<double>();
}

std::optional<std::int64_t> bytes_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return parse_bytes(**text);
  if (const auto* integer = node.as_integer()) return **integer;
  return std::nullopt;
}

std::optional<std::int64_t> integer_of(const toml::node& node) {
  if (const auto* integer = node.as_integer()) return **integer;
  return std::nullopt;
}

std::optional<double> number_of(const toml::node& node) {
  if (const auto* integer = node.as_integer()) return static_cast<double>(**integer);
  if (const auto* number = node.as_floating_point()) return **number;
  return std::nullopt;
}

std::optional<std::string> string_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return **text;
  return std::nullopt;
}

std::string join(const std::vector<std::string>& words) {
  std::string all;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) all += i + 1 == words.size() ? " or " : ", ";
    all += backticked(words[i]);
  }
  return all;
}

// Edits (insert, delete, change, swap of neighbours) that lead from one word to the other; case and "-" for "_"
// are free.
std::size_t edits(std::string_view a, std::string_view b) {
  const auto plain = [](char c) { return c == '-' ? '_' : static_cast<char>(std::tolower(c)); };
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const bool same = plain(a[i - 1]) == plain(b[j - 1]);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) && plain(a[i - 2]) == plain(b[j - 1])) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

bool stands_before(const toml::source_region& a, const toml::source_region& b) {
  return std::pair(a.begin.line, a.begin.column) < std::pair(b.begin.line, b.begin.column);
}

std::vector<const toml::key*> keys_in_file_order(const toml::table& table) {
  std::vector<const toml::key*> keys;
  for (auto entry = table.begin(); entry != table.end(); ++entry) keys.push_back(&entry->first);
  std::stable_sort(keys.begin(), keys.end(),
                   [](const toml::key* a, const toml::key* b) { return stands_before(a->source(), b->source()); });
  return keys;
}

// Moves `from` over `into`, table into table. Moved, not copied, because only a move keeps the nodes' sources.
void merge(toml::table& into, toml::table&& from) {
  for (auto&& [key, node] : from) {
    toml::node* old = into.get(key.str());
    if (old != nullptr && old->is_table() && node.is_table()) {
      merge(*old->as_table(), std::move(*node.as_table()));
    } else {
      into.erase(key.str());
      std::move(node).visit(
          [&into, &name = key](auto&& value) { into.insert(name, std::forward<decltype(value)>(value)); });
    }
  }
}

// The length of the TOML string that `text` begins with, its quotation marks included.
std::size_t string_bytes(std::string_view text) {
  const char quote = text[0];
  const std::string three(3, quote);
  const bool many_lines = text.starts_with(three);
  for (std::size_t i = many_lines ? 3 : 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == '\n' && !many_lines) {
      return i;  // not TOML
    } else if (many_lines && text.substr(i).starts_with(three)) {
      i += 3;
      for (int own = 0; own < 2 && i < text.size() && text[i] == quote; ++own) ++i;  // it may end in two of its own
      return i;
    } else if (text[i] == quote && !many_lines) {
      return i + 1;
    }
  }
  return text.size();
}

// The first line that has a key of too many names; 0: no line has.
std::size_t line_of_too_deep_key(std::string_view text) {
  std::size_t line = 1;
  int names = 1;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      const std::string_view quoted = text.substr(i, string_bytes(text.substr(i)));
      line += static_cast<std::size_t>(std::count(quoted.begin(), quoted.end(), '\n'));
      i += quoted.size();
      continue;
    }
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (c == '\n') ++line;
    if (c == '.') {
      if (++names > most_names_in_key) return line;
    } else if (std::string_view("\n=,[]{}").find(c) != std::string_view::npos) {
      names = 1;
    }
    ++i;
  }
  return 0;
}

// Throws toml::parse_error, and UsageError.
toml::table parse_toml(std::string_view text, const std::string& name) {
  if (const std::size_t line = line_of_too_deep_key(text); line != 0)
    throw UsageError(name + ":" + std::to_string(line) + ": a key has at most " + std::to_string(most_names_in_key) +
                     " names with dots between them");
  return toml::parse(text, name);
}

}  // namespace

std::string nearest_word(std::string_view typed, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_edits = typed.size() < 3 ? 0 : typed.size() / 3 + 1;  // too short a word is near to everything
  for (const std::string& word : known) {
    if (std::max(word.size(), typed.size()) - std::min(word.size(), typed.size()) >= best_edits) continue;
    const std::size_t needed = edits(typed, word);
    if (needed < best_edits) {
      best_edits = needed;
      best = word;
    }
  }
  return best;
}

// What the readers below have in common.
struct TomlTable::Access {
  static const toml::table& table(const TomlTable& handle) { return *static_cast<const toml::table*>(handle.node_); }

  static TomlTable open(const TomlTable& handle, const toml::table& child) {
    handle.state_->known[&child];  // opened, so finish() looks into it
    return TomlTable(handle.state_, &child);
  }

  static const toml::node* find(const TomlTable& handle, std::string_view key) {
    handle.state_->known[&table(handle)].emplace(key);
    return table(handle).get(key);
  }

  [[noreturn]] static void unknown_key(const State& state, const toml::key& key, const std::string& meant) {
    throw UsageError(place(state.name, key.source()) + ": unknown key " + backticked(key.str()) +
                     (meant.empty() ? "" : "; did you mean " + backticked(meant) + "?"));
  }

  [[noreturn]] static void missing(const TomlTable& handle, std::string_view key, const std::string& expected) {
    // A required key that is not there is most often there in another spelling.
    const auto& known = handle.state_->known[&table(handle)];
    for (const toml::key* present : keys_in_file_order(table(handle))) {
      if (known.contains(present->str())) continue;
      if (!nearest_word(present->str(), {std::string(key)}).empty())
        unknown_key(*handle.state_, *present, std::string(key));
    }
    throw UsageError(handle.where() + ": missing key " + backticked(key) + ": expected " + expected);
  }

  // On the command line nobody quotes: 20251010 or true is a name where a name is expected.
  static auto string_reader(const TomlTable& handle) {
    return [&handle](const toml::node& node) {
      return node.is_string() ? string_of(node) : typed_text(handle.state_->name, node);
    };
  }

  [[noreturn]] static void wrong(const TomlTable& handle, std::string_view key, const toml::node& node,
                                 const std::string& expected) {
    throw UsageError(place(handle.state_->name, node.source()) + ": " + std::string(key) + ": expected " + expected +
                     ", got " + found(node));
  }

  // One value: `read` returns an optional, empty when the node is of another form; `fits` says whether it is in range.
  template <class Read, class Fits>
  static auto value(const TomlTable& handle, std::string_view key, const toml::node& node, Read read, Fits fits,
                    const std::string& expected) {
    const auto result = read(node);
    if (!result || !fits(*result)) wrong(handle, key, node, expected);
    return *result;
  }

  template <class Read, class Fits>
  static auto required(const TomlTable& handle, std::string_view key, Read read, Fits fits,
                       const std::string& expected) {
    const toml::node* node = find(handle, key);
    if (node == nullptr) missing(handle, key, expected);
    return value(handle, key, *node, read, fits, expected);
  }

  template <class Read, class Fits>
  static auto list(const TomlTable& handle, std::string_view key, Read read, Fits fits, const std::string& expected) {
    const toml::node* node = find(handle, key);
    if (node == nullptr) missing(handle, key, expected + ", or a list of such");
    std::vector<std::decay_t<decltype(*read(*node))>> values;
    if (const toml::array* array = node->as_array()) {
      if (array->empty()) wrong(handle, key, *node, expected + ", or a list of such");
      for (const toml::node& element : *array) values.push_back(value(handle, key, element, read, fits, expected));
    } else {
      values.push_back(value(handle, key, *node, read, fits, expected + ", or a list of such"));
    }
    return values;
  }
};

namespace {
const auto anything = [](const auto&) { return true; };
const auto within = [](const auto& range) {
  return [range](const auto& value) { return value >= range.least && value <= range.most; };
};
const auto member_of = [](const std::vector<std::string>& values) {
  return [&values](const std::string& value) { return std::find(values.begin(), values.end(), value) != values.end(); };
};
}  // namespace

bool TomlTable::has(std::string_view key) const { return Access::find(*this, key) != nullptr; }

std::string TomlTable::string(std::string_view key) const {
  return Access::required(*this, key, Access::string_reader(*this), anything, "a string");
}
std::string TomlTable::string(std::string_view key, std::string fallback) const {
  return has(key) ? string(key) : fallback;
}

std::string TomlTable::one_of(std::string_view key, const std::vector<std::string>& values) const {
  return Access::required(*this, key, string_of, member_of(values), join(values));
}
std::string TomlTable::one_of(std::string_view key, const std::vector<std::string>& values,
                              std::string fallback) const {
  return has(key) ? one_of(key, values) : fallback;
}

bool TomlTable::boolean(std::string_view key) const {
  return Access::required(
      *this, key, [](const toml::node& node) { return node.value_exact<bool>(); }, anything, "true or false");
}
bool TomlTable::boolean(std::string_view key, bool fallback) const { return has(key) ? boolean(key) : fallback; }

std::int64_t TomlTable::integer(std::string_view key, IntegerRange range) const {
  return Access::required(*this, key, integer_of, within(range), integer_words(range));
}
std::int64_t TomlTable::integer(std::string_view key, IntegerRange range, std::int64_t fallback) const {
  return has(key) ? integer(key, range) : fallback;
}

double TomlTable::number(std::string_view key, NumberRange range) const {
  return Access::required(*this, key, number_of, within(range), number_words(range));
}
double TomlTable::number(std::string_view key, NumberRange range, double fallback) const {
  return has(key) ? number(key, range) : fallback;
}

double TomlTable::duration_s(std::string_view key, NumberRange range_s) const {
  return Access::required(*this, key, duration_of, within(range_s), duration_words(range_s));
}
double TomlTable::duration_s(std::string_view key, NumberRange range_s, double fallback_s) const {
  return has(key) ? duration_s(key, range_s) : fallback_s;
}

std::int64_t TomlTable::bytes(std::string_view key, IntegerRange range) const {
  return Access::required(*this, key, bytes_of, within(range), bytes_words(range));
}
std::int64_t TomlTable::bytes(std::string_view key, IntegerRange range, std::int64_t fallback) const {
  return has(key) ? bytes(key, range) : fallback;
}

std::vector<std::string> TomlTable::strings(std::string_view key) const {
  return Access::list(*this, key, string_of, anything, "a string");
}
std::vector<std::string> TomlTable::strings(std::string_view key, std::vector<std::string> fallback) const {
  return has(key) ? strings(key) : fallback;
}
std::vector<std::int64_t> TomlTable::integers(std::string_view key, IntegerRange range) const {
  return Access::list(*this, key, integer_of, within(range), integer_words(range));
}
std::vector<std::int64_t> TomlTable::integers(std::string_view key, IntegerRange range,
                                              std::vector<std::int64_t> fallback) const {
  return has(key) ? integers(key, range) : fallback;
}
std::vector<double> TomlTable::numbers(std::string_view key, NumberRange range) const {
  return Access::list(*this, key, number_of, within(range), number_words(range));
}
std::vector<double> TomlTable::numbers(std::string_view key, NumberRange range, std::vector<double> fallback) const {
  return has(key) ? numbers(key, range) : fallback;
}

std::optional<TomlTable> TomlTable::table(std::string_view key) const {
  const toml::node* node = Access::find(*this, key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_table()) Access::wrong(*this, key, *node, "a table");
  return Access::open(*this, *node->as_table());
}

std::vector<TomlTable> TomlTable::tables(std::string_view key) const {
  const toml::node* node = Access::find(*this, key);
  if (node == nullptr) return {};
  if (node->is_table()) return {Access::open(*this, *node->as_table())};
  if (!node->is_array()) Access::wrong(*this, key, *node, "one or more tables");
  std::vector<TomlTable> all;
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_table()) Access::wrong(*this, key, element, "a table");
    all.push_back(Access::open(*this, *element.as_table()));
  }
  return all;
}

std::vector<std::string> TomlTable::keys() const {
  std::vector<std::string> all;
  for (const toml::key* key : keys_in_file_order(Access::table(*this))) {
    Access::find(*this, key->str());
    all.emplace_back(key->str());
  }
  return all;
}

namespace {
std::optional<std::string> as_assigned(const toml::node& node) {
  if (node.is_string()) return string_of(node);
  if (node.is_number() || node.is_boolean()) return found(node);
  return std::nullopt;
}
std::optional<std::string> as_typed(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return **flag ? "on" : "off";
  return as_assigned(node);
}
const std::string scalar_words = "a string, a number, true or false";
}  // namespace

std::string TomlTable::text(std::string_view key) const {
  return Access::required(*this, key, as_typed, anything, scalar_words);
}
std::vector<std::string> TomlTable::texts(std::string_view key) const {
  return Access::list(*this, key, as_typed, anything, scalar_words);
}

std::string TomlTable::assigned(std::string_view key) const {
  return Access::required(*this, key, as_assigned, anything, scalar_words);
}
std::vector<std::string> TomlTable::assigned_list(std::string_view key) const {
  return Access::list(*this, key, as_assigned, anything, scalar_words);
}

bool TomlTable::is_table(std::string_view key) const {
  const toml::node* node = Access::find(*this, key);
  return node != nullptr && node->is_table();
}

bool TomlTable::is_list(std::string_view key) const {
  const toml::node* node = Access::find(*this, key);
  return node != nullptr && node->is_array();
}

void TomlTable::fail(std::string_view key, std::string_view message) const {
  const toml::node* node = Access::table(*this).get(key);
  throw UsageError((node == nullptr ? where() : place(state_->name, node->source())) + ": " + std::string(key) + ": " +
                   std::string(message));
}

std::string TomlTable::where() const { return place(state_->name, Access::table(*this).source()); }

TomlDocument TomlDocument::load(const std::filesystem::path& file) {
  return parse(read_untrusted(file, most_file_bytes), file.string());
}

TomlDocument TomlDocument::parse(std::string_view text, std::string name) {
  auto state = std::make_shared<TomlTable::State>();
  state->name = std::move(name);
  state->text = text;
  try {
    state->root = parse_toml(state->text, state->name);
  } catch (const toml::parse_error& error) {
    throw UsageError(place(state->name, error.source()) + ": not TOML: " + std::string(error.description()));
  }
  state->known[&state->root];
  return TomlDocument(std::move(state));
}

void TomlDocument::set(std::string_view assignment) {
  BAKEOFF_CHECK(state_->known.size() == 1 && state_->known.begin()->second.empty());  // handles of tables would dangle
  const std::size_t equals = assignment.find('=');
  const std::string typed(assignment);
  if (equals == std::string_view::npos || equals == 0) throw UsageError(backticked(typed) + ": expected key=value");
  const std::string key(assignment.substr(0, equals));
  const std::string_view value = assignment.substr(equals + 1);
  const bool one_line = value.find_first_of("\n\r#") == std::string_view::npos;
  toml::table override;
  try {
    if (!one_line) throw toml::parse_error("more than a value", toml::source_position{});
    override = parse_toml(key + " = " + std::string(value), typed);
  } catch (const toml::parse_error&) {
    // A plain string, of any bytes: TOML itself takes UTF-8 alone, and a file may have any name.
    try {
      override = parse_toml(key + " = ''", typed);
    } catch (const toml::parse_error&) {
      throw UsageError(backticked(typed) +
                       ": expected key=value, the key made of letters, digits, \"_\", \"-\" and dots");
    }
    toml::node* leaf = &override;
    while (toml::table* table = leaf->as_table()) leaf = &table->begin()->second;
    leaf->as_string()->get() = value;
  }
  merge(state_->root, std::move(override));
}

std::vector<std::string> TomlDocument::choose(std::string_view table, std::string_view choice) {
  BAKEOFF_CHECK(state_->known.size() == 1 && state_->known.begin()->second.empty());  // handles of tables would dangle
  std::vector<std::string> choices;
  toml::table chosen;
  bool is_there = choice.empty();
  if (toml::node* node = state_->root.get(table)) {
    if (!node->is_table())
      throw UsageError(place(state_->name, node->source()) + ": " + std::string(table) + ": expected tables [" +
                       std::string(table) + ".NAME]");
    for (auto&& [key, value] : *node->as_table()) {
      if (!value.is_table())
        throw UsageError(place(state_->name, key.source()) + ": " + std::string(table) + ": expected tables [" +
                         std::string(table) + ".NAME]");
      choices.emplace_back(key.str());
      if (key.str() != choice) continue;
      chosen = std::move(*value.as_table());
      is_there = true;
    }
    state_->root.erase(table);
  }
  if (!is_there)
    throw UsageError(state_->name + ": there is no " + std::string(table) + " " + backticked(choice) +
                     (choices.empty() ? "" : "; there is " + join(choices)));
  merge(state_->root, std::move(chosen));
  return choices;
}

TomlTable TomlDocument::root() const { return TomlTable(state_, &state_->root); }

void TomlDocument::finish() const {
  const toml::key* first = nullptr;
  const std::set<std::string, std::less<>>* known_there = nullptr;
  for (const auto& [table, known] : state_->known) {
    for (const toml::key* key : keys_in_file_order(*table)) {
      if (known.contains(key->str())) continue;
      if (first == nullptr || stands_before(key->source(), first->source())) {
        first = key;
        known_there = &known;
      }
    }
  }
  if (first == nullptr) return;
  const std::vector<std::string> words(known_there->begin(), known_there->end());
  TomlTable::Access::unknown_key(*state_, *first, nearest_word(first->str(), words));
}

const std::string& TomlDocument::name() const { return state_->name; }
const std::string& TomlDocument::source_text() const { return state_->text; }

}  // namespace bakeoff
