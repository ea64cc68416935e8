#include "results/placement.h"

#include <algorithm>

namespace bakeoff {
namespace {

// How many the server has: those that it is pinned to, else all; 0: the environment does not tell.
std::size_t server_processors(const nlohmann::json& environment) {
  if (!environment.is_object()) return 0;
  const nlohmann::json placement = environment.value("placement", nlohmann::json::object());
  const nlohmann::json pinned =
      placement.is_object() ? placement.value("server_processors", nlohmann::json()) : nlohmann::json();
  if (pinned.is_array() && !pinned.empty()) return pinned.size();
  const nlohmann::json all = environment.value("processors", nlohmann::json());
  return all.is_number_unsigned() || all.is_number_integer() ? all.get<std::size_t>() : 0;
}

}  // namespace

std::string placement_note(const nlohmann::json& environment) {
  if (!environment.is_object()) return "";
  const nlohmann::json placement = environment.value("placement", nlohmann::json::object());
  const nlohmann::json note = placement.is_object() ? placement.value("note", nlohmann::json()) : nlohmann::json();
  return note.is_string() ? note.get<std::string>() + "\n" : "";
}

const char* worker_mark(const nlohmann::json& environment, std::uint32_t workers) {
  const std::size_t processors = server_processors(environment);
  return processors > 0 && workers > processors ? "+" : "";
}

std::string worker_mark_note(const ExperimentResult& result) {
  const bool marked = std::any_of(result.cells.begin(), result.cells.end(), [&](const CellResult& cell) {
    return *worker_mark(result.environment, cell.cell.workers) != '\0';
  });
  if (!marked) return "";
  const std::size_t processors = server_processors(result.environment);
  return "+: more workers than the server has processors (" + std::to_string(processors) + "), so they take turns.\n";
}

}  // namespace bakeoff
