# A room is a folder with one subject, and a CMake target: its .cpp files are a static library, its .h files its
# interface. A room compiles only with the headers of the rooms that it names, so a wrong include fails to build.
#
#   add_room(harness/plan
#     PUBLIC core/base results        # rooms and libraries that its headers include: its users get them, too
#     PRIVATE harness/processes)      # rooms and libraries that only its .cpp files include
#
# A room can name only rooms that were added before it, the lowest first, so no circle is possible. main.cpp belongs to
# a program and is left out; SOURCES (paths within the folder) replaces the folder's .cpp files. A folder in the room's
# folder is not part of the room. The target's name is bakeoff_ and the folder, with _ for / and -: a program or a test
# links bakeoff_harness_plan. A word after PUBLIC or PRIVATE that is not a room is a library (fmt::fmt).
#
# Sources include "harness/plan/plan.h" everywhere: each room has a folder of its own under rooms/ in the build
# tree, with a symbolic link rooms/harness_plan/harness/plan/plan.h to each of its headers, and users of the room
# search there.

function(room_target folder result)
  string(REGEX REPLACE "[/-]" "_" name "bakeoff_${folder}")
  set(${result} ${name} PARENT_SCOPE)
endfunction()

# Lets those who link `target` include the headers of a source folder: "core/base/check.h".
function(offer_headers target folder)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.h)
  string(REGEX REPLACE "[/-]" "_" place ${folder})
  set(place ${CMAKE_BINARY_DIR}/rooms/${place})
  file(REMOVE_RECURSE ${place})  # with the links to headers that have gone
  file(MAKE_DIRECTORY ${place}/${folder})
  foreach(header ${headers})
    get_filename_component(name ${header} NAME)
    file(CREATE_LINK ${header} ${place}/${folder}/${name} SYMBOLIC)
  endforeach()
  get_target_property(kind ${target} TYPE)
  if(kind STREQUAL INTERFACE_LIBRARY)
    target_include_directories(${target} INTERFACE ${place})
  else()
    target_include_directories(${target} PUBLIC ${place})
  endif()
endfunction()

function(add_room folder)
  cmake_parse_arguments(PARSE_ARGV 1 room "" "" "SOURCES;PUBLIC;PRIVATE")
  if(room_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "add_room(${folder}): '${room_UNPARSED_ARGUMENTS}' stands before PUBLIC, PRIVATE or SOURCES")
  endif()
  set(uses)
  foreach(share PUBLIC PRIVATE)
    set(${share}_targets)
    foreach(used ${room_${share}})
      if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/${used})
        room_target(${used} used_target)
        if(NOT TARGET ${used_target})
          message(FATAL_ERROR
            "add_room(${folder}) uses ${used}, which was not added before it: a room uses only lower rooms")
        endif()
        string(APPEND uses " ${used}")
        set(used ${used_target})
      endif()
      list(APPEND ${share}_targets ${used})
    endforeach()
  endforeach()

  set(sources ${room_SOURCES})
  list(TRANSFORM sources PREPEND ${CMAKE_SOURCE_DIR}/${folder}/)
  if(NOT sources)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
    list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  endif()
  room_target(${folder} target)
  if(sources)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC bakeoff_flags ${PUBLIC_targets} PRIVATE ${PRIVATE_targets})
    if(folder MATCHES "^(core|architectures)")
      # What is measured is compiled file by file in every build.
      set_target_properties(${target} PROPERTIES UNITY_BUILD OFF)
    endif()
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE bakeoff_flags ${PUBLIC_targets} ${PRIVATE_targets})
  endif()
  offer_headers(${target} ${folder})
  set_property(GLOBAL APPEND PROPERTY BAKEOFF_ROOMS ${folder})
  set_property(GLOBAL APPEND PROPERTY BAKEOFF_ROOM_USES "${folder}:${uses}")
endfunction()

# Links every room whose folder matches the regular expression: for tests, which look into all rooms of a floor.
function(link_rooms target matching)
  get_property(rooms GLOBAL PROPERTY BAKEOFF_ROOMS)
  list(FILTER rooms INCLUDE REGEX ${matching})
  foreach(room ${rooms})
    room_target(${room} room)
    target_link_libraries(${target} PRIVATE ${room})
  endforeach()
endfunction()
