# find_package(satchel): the shared library satchel::satchel. What it is made of is its own affair;
# a program that links it needs nothing else.
include("${CMAKE_CURRENT_LIST_DIR}/satchel-targets.cmake")
