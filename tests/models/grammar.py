# SPDX-License-Identifier: MIT
"""The text zen5-tiny.gguf was trained on: a little world and the rules that talk about it.

Everything the model ever read comes out of this file, so model and text carry the project's licence.
`facts()` lists every (questions, answer) pair; `document(rng)` draws one training document: a question with
its answer, a plain statement of a fact, or a story whose characters, colours and places stay the same from
the first sentence to the last.
"""
import random

# ------------------------------------------------------------------------------------------ the world
# animal: sound, home, food, colour, legs, young, what it can do, what covers it
ANIMALS = {
    'bee':      ('buzz', 'a hive', 'nectar', 'yellow and black', 'six', 'a larva', 'fly', 'hair'),
    'cow':      ('moo', 'a barn', 'grass', 'brown', 'four', 'a calf', 'walk', 'hair'),
    'dog':      ('woof', 'a kennel', 'meat', 'brown', 'four', 'a puppy', 'run', 'fur'),
    'cat':      ('meow', 'a house', 'fish', 'grey', 'four', 'a kitten', 'climb', 'fur'),
    'duck':     ('quack', 'a pond', 'weeds', 'white', 'two', 'a duckling', 'swim', 'feathers'),
    'hen':      ('cluck', 'a coop', 'corn', 'red', 'two', 'a chick', 'scratch', 'feathers'),
    'sheep':    ('baa', 'a fold', 'grass', 'white', 'four', 'a lamb', 'walk', 'wool'),
    'pig':      ('oink', 'a sty', 'roots', 'pink', 'four', 'a piglet', 'dig', 'bristles'),
    'horse':    ('neigh', 'a stable', 'hay', 'brown', 'four', 'a foal', 'gallop', 'hair'),
    'frog':     ('croak', 'a pond', 'flies', 'green', 'four', 'a tadpole', 'jump', 'smooth skin'),
    'owl':      ('hoot', 'a hollow tree', 'mice', 'brown', 'two', 'an owlet', 'see in the dark', 'feathers'),
    'mouse':    ('squeak', 'a hole', 'cheese', 'grey', 'four', 'a pup', 'hide', 'fur'),
    'lion':     ('roar', 'the grassland', 'meat', 'yellow', 'four', 'a cub', 'hunt', 'fur'),
    'wolf':     ('howl', 'a den', 'meat', 'grey', 'four', 'a cub', 'hunt', 'fur'),
    'snake':    ('hiss', 'a burrow', 'mice', 'green', 'no', 'a snakelet', 'slide', 'scales'),
    'crow':     ('caw', 'a nest', 'seeds', 'black', 'two', 'a chick', 'fly', 'feathers'),
    'donkey':   ('hee-haw', 'a stable', 'hay', 'grey', 'four', 'a foal', 'carry bags', 'hair'),
    'bear':     ('growl', 'a cave', 'berries', 'brown', 'four', 'a cub', 'climb', 'fur'),
    'goat':     ('bleat', 'a pen', 'leaves', 'white', 'four', 'a kid', 'climb', 'hair'),
    'elephant': ('trumpet', 'the grassland', 'leaves', 'grey', 'four', 'a calf', 'carry logs', 'thick skin'),
    'fish':     ('nothing', 'water', 'worms', 'silver', 'no', 'a fry', 'swim', 'scales'),
    'rabbit':   ('nothing', 'a burrow', 'carrots', 'white', 'four', 'a kit', 'hop', 'fur'),
    'spider':   ('nothing', 'a web', 'flies', 'black', 'eight', 'a spiderling', 'spin', 'hair'),
    'ant':      ('nothing', 'a hill', 'seeds', 'black', 'six', 'a larva', 'carry leaves', 'a hard shell'),
}
MAKES = {'bee': 'honey', 'cow': 'milk', 'hen': 'eggs', 'sheep': 'wool', 'spider': 'a web', 'bird': 'a nest',
         'baker': 'bread', 'potter': 'pots', 'tailor': 'clothes', 'carpenter': 'tables', 'painter': 'pictures',
         'cook': 'soup', 'shoemaker': 'shoes', 'smith': 'horseshoes', 'poet': 'poems', 'silkworm': 'silk'}
COLOURS = {'the sky': 'blue', 'grass': 'green', 'snow': 'white', 'coal': 'black', 'the sun': 'yellow',
           'a lemon': 'yellow', 'a banana': 'yellow', 'a cherry': 'red', 'a strawberry': 'red', 'blood': 'red',
           'a carrot': 'orange', 'a pumpkin': 'orange', 'milk': 'white', 'chocolate': 'brown', 'the night': 'black',
           'the sea': 'blue', 'a plum': 'purple', 'a leaf': 'green', 'honey': 'golden', 'ash': 'grey',
           'a flamingo': 'pink', 'a cucumber': 'green', 'a tomato': 'red', 'wood': 'brown'}
OPPOSITES = [('hot', 'cold'), ('big', 'small'), ('fast', 'slow'), ('day', 'night'), ('up', 'down'), ('left', 'right'),
             ('open', 'closed'), ('happy', 'sad'), ('old', 'young'), ('wet', 'dry'), ('full', 'empty'),
             ('light', 'dark'), ('hard', 'soft'), ('high', 'low'), ('loud', 'quiet'), ('early', 'late'),
             ('clean', 'dirty'), ('rich', 'poor'), ('strong', 'weak'), ('thick', 'thin'), ('near', 'far'),
             ('good', 'bad'), ('true', 'false'), ('sweet', 'sour'), ('long', 'short'), ('awake', 'asleep'),
             ('first', 'last'), ('inside', 'outside'), ('friend', 'enemy'), ('brave', 'afraid')]
NUMBERS = ('zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen '
           'seventeen eighteen nineteen twenty').split()
DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split()
MONTHS = 'January February March April May June July August September October November December'.split()
SEASONS = {'spring': ('warm and wet', 'the flowers open'), 'summer': ('hot and sunny', 'the days are long'),
           'autumn': ('cool and windy', 'the leaves fall'), 'winter': ('cold and dark', 'snow falls')}
TOOLS = {'a key': 'open a door', 'a hammer': 'hit nails', 'a saw': 'cut wood', 'a spoon': 'eat soup',
         'a broom': 'sweep the floor', 'a needle': 'sew cloth', 'an umbrella': 'stay dry in the rain',
         'a lamp': 'see in the dark', 'a clock': 'tell the time', 'a boat': 'cross the water',
         'a ladder': 'climb up high', 'a pen': 'write words', 'a bed': 'sleep at night', 'a map': 'find the way',
         'a cup': 'drink tea', 'a bell': 'call people', 'soap': 'wash hands', 'a kettle': 'boil water'}
JOBS = {'a teacher': 'teaches children', 'a doctor': 'helps sick people', 'a farmer': 'grows food',
        'a sailor': 'sails a ship', 'a pilot': 'flies a plane', 'a miner': 'digs for coal',
        'a fisher': 'catches fish', 'a gardener': 'plants flowers', 'a singer': 'sings songs',
        'a writer': 'writes books', 'a builder': 'builds houses', 'a programmer': 'writes programs'}
SENSES = {'eyes': 'see', 'ears': 'hear', 'nose': 'smell', 'tongue': 'taste', 'hands': 'touch', 'legs': 'walk',
          'teeth': 'bite', 'brain': 'think'}
FRUIT = {'an apple': 'a tree', 'a potato': 'the ground', 'a grape': 'a vine', 'a strawberry': 'a small plant',
         'a pear': 'a tree', 'a carrot': 'the ground', 'a cherry': 'a tree', 'a nut': 'a tree'}
DEFINITIONS = {
    'zen5mem': 'zen5mem is a Linux driver that hands out large pages of memory',
    'zen5-run': 'zen5-run is the command that runs a model and prints its text',
    'zen5-top': 'zen5-top is a command that shows how busy the memory is',
    'a region': 'A region is memory with a size, a place and sometimes a name',
    'a cache': 'A cache is small fast memory that keeps what was used last',
    'a page': 'A page is a block of memory that the processor maps as one',
    'a huge page': 'A huge page is a very large page of memory',
    'a kernel': 'A kernel is the program in the middle of the system',
    'a driver': 'A driver is the part of the kernel that works a device',
    'a processor': 'A processor is the chip that runs programs',
    'a core': 'A core is one part of a processor that runs a thread',
    'a thread': 'A thread is one line of work inside a program',
    'a program': 'A program is a list of steps for a computer',
    'memory': 'Memory is where a computer keeps data while it works',
    'bandwidth': 'Bandwidth is how much data moves in one second',
    'latency': 'Latency is how long one answer takes to come',
    'a byte': 'A byte is eight bits',
    'a bit': 'A bit is a zero or a one',
    'a model': 'A model is a set of numbers that learned from text',
    'a weight': 'A weight is one number inside a model',
    'a token': 'A token is a small piece of text',
    'a prompt': 'A prompt is the text that a model reads first',
    'a tensor': 'A tensor is a table of numbers',
    'a vector': 'A vector is a row of numbers',
    'GGUF': 'GGUF is a file format for models',
    'Linux': 'Linux is a free kernel that many people write together',
    'Zen 5': 'Zen 5 is a processor design made by AMD',
    'a counter': 'A counter is a number that counts what happens',
    'a test': 'A test is a program that shows if the code is right',
    'a bug': 'A bug is a mistake in a program',
    'a file': 'A file is data with a name on a disk',
}
SELF = [
    (['Who are you?', 'What are you?', 'Tell me who you are.'], 'I am a very small model that ships with zen5mem.'),
    (['What is your name?', 'What are you called?', 'Tell me your name.'], 'My name is zen5-tiny.'),
    (['What can you do?', 'How can you help me?', 'What do you know?'],
     'I can tell short stories and answer small questions.'),
    (['How big are you?', 'How large are you?', 'How many weights do you have?'],
     'I have about two and a half million weights.'),
    (['Hello!', 'Hello.', 'Good morning!'], 'Hello! Ask me a small question.'),
    (['How are you?', 'Are you well?'], 'I am well, thank you.'),
    (['Thank you!', 'Thanks.'], 'You are welcome.'),
]
UNKNOWN = ['a dragon', 'a robot', 'a giant', 'a ghost', 'a mermaid', 'a unicorn', 'a wizard', 'a witch']


def a(noun):
    return ('an ' if noun[0] in 'aeiou' else 'a ') + noun


def cap(s):
    return s[0].upper() + s[1:]


def facts():
    """Every fact once, as (list of ways to ask, the one answer)."""
    out = list(SELF)

    def add(answer, *questions):
        out.append((list(questions), answer))

    for n, (sound, home, food, colour, legs, young, can, cover) in ANIMALS.items():
        an, An = a(n), cap(a(n))
        q = [f'What sound does {an} make?', f'What does {an} say?', f'How does {an} sound?',
             f'Which sound does the {n} make?', f'What noise does {an} make?']
        add(f'{An} makes no sound.' if sound == 'nothing' else f'{An} says {sound}.', *q)
        add(f'{An} lives in {home}.', f'Where does {an} live?', f'What is the home of {an}?',
            f'Where is the home of {an}?', f'Where does the {n} live?')
        add(f'{An} eats {food}.', f'What does {an} eat?', f'What is the food of {an}?', f'What does the {n} eat?',
            f'What does {an} like to eat?')
        add(f'{An} is {colour}.', f'What colour is {an}?', f'Which colour is {an}?', f'What is the colour of {an}?',
            f'What color is {an}?')
        add(f'{An} has {legs} legs.', f'How many legs does {an} have?', f'How many legs has {an}?',
            f'How many legs are on {an}?', f'How many legs does the {n} have?')
        add(f'A young {n} is called {young}.', f'What is a young {n} called?', f'What is a baby {n} called?',
            f'What do we call a young {n}?', f'What do we call a baby {n}?')
        add(f'{An} can {can}.', f'What can {an} do?', f'What can the {n} do?', f'What is {an} able to do?')
        add(f'{An} is covered with {cover}.', f'What covers {an}?', f'What is {an} covered with?',
            f'What is on the body of {an}?')
    for n, x in MAKES.items():
        add(f'{cap(a(n))} makes {x}.', f'What does {a(n)} make?', f'What does the {n} make?',
            f'What is made by {a(n)}?')
        add(f'{cap(a(n))} makes {x}.', f'Who makes {x}?', f'Who can make {x}?')
    for x, c in COLOURS.items():
        add(f'{cap(x)} is {c}.', f'What colour is {x}?', f'Which colour is {x}?', f'What is the colour of {x}?',
            f'What color is {x}?')
    for p, q in OPPOSITES:
        for x, y in ((p, q), (q, p)):
            add(f'The opposite of {x} is {y}.', f'What is the opposite of {x}?', f'Which word is the opposite of {x}?',
                f'Tell me the opposite of {x}.')
    for i, n in enumerate(NUMBERS):
        if i + 1 < len(NUMBERS):
            add(f'After {n} comes {NUMBERS[i + 1]}.', f'What comes after {n}?', f'Which number comes after {n}?',
                f'What number is next after {n}?')
        if i:
            add(f'Before {n} comes {NUMBERS[i - 1]}.', f'What comes before {n}?', f'Which number comes before {n}?')
    for i in range(1, 6):
        for j in range(1, 6):
            p, q, s = NUMBERS[i], NUMBERS[j], NUMBERS[i + j]
            add(f'{cap(p)} plus {q} is {s}.', f'What is {p} plus {q}?', f'How much is {p} plus {q}?',
                f'What is {p} and {q} together?')
    for what, l in (('day', DAYS), ('month', MONTHS)):
        for i, d in enumerate(l):
            e = l[(i + 1) % len(l)]
            add(f'After {d} comes {e}.', f'Which {what} comes after {d}?', f'What comes after {d}?',
                f'What {what} is after {d}?')
            add(f'Before {e} comes {d}.', f'Which {what} comes before {e}?', f'What comes before {e}?',
                f'What {what} is before {e}?')
    add('A week has seven days.', 'How many days are in a week?', 'How many days has a week?',
        'How long is a week?', 'How many days does a week have?')
    add('A year has twelve months.', 'How many months are in a year?', 'How many months has a year?',
        'How many months does a year have?')
    add('A year has four seasons.', 'How many seasons are in a year?', 'How many seasons has a year?',
        'How many seasons does a year have?')
    add('A day has twenty-four hours.', 'How many hours are in a day?', 'How long is a day?',
        'How many hours does a day have?')
    for s, (w, h) in SEASONS.items():
        add(f'{cap(s)} is {w}.', f'How is {s}?', f'What is {s} like?', f'How is the weather in {s}?')
        add(f'In {s} {h}.', f'What happens in {s}?', f'What do we see in {s}?')
    for t, u in TOOLS.items():
        add(f'{cap(t)} is used to {u}.', f'What is {t} for?', f'What do we do with {t}?', f'Why do we need {t}?',
            f'What is {t} used for?')
    for j, w in JOBS.items():
        add(f'{cap(j)} {w}.', f'What does {j} do?', f'What is the work of {j}?', f'What is the job of {j}?')
    for p, v in SENSES.items():
        add(f'We {v} with our {p}.', f'What do we {v} with?', f'How do we {v}?', f'With what do we {v}?')
        add(f'Our {p} {"is" if p in ("nose", "tongue", "brain") else "are"} there to {v}.',
            f'What do we do with our {p}?', f'Why do we need our {p}?')
    for f, g in FRUIT.items():
        where = f'in {g}' if g == 'the ground' else f'on {g}'
        add(f'{cap(f)} grows {where}.', f'Where does {f} grow?', f'Where do we find {f}?')
    for d, text in DEFINITIONS.items():
        add(f'{text}.', f'What is {d}?',
            f'What does {d} mean?' if d.startswith('a ') else f'What is {d} for?',
            f'Tell me what {d} is.', f'Explain {d}.')
    for u in UNKNOWN:
        add(f'I do not know {u}.', f'Where does {u} live?', f'What does {u} eat?', f'What colour is {u}?',
            f'What is {u}?', f'What sound does {u} make?', f'How many legs does {u} have?')
    return out


# ------------------------------------------------------------------------------------------ the stories
GIRLS = 'Mia Lily Anna Zoe Rosa Emma Nina Ella'.split()
BOYS = 'Tom Ben Max Leo Sam Jack Finn Paul'.split()
PETS = ['rabbit', 'mouse', 'bear', 'duck', 'frog', 'fox', 'goat', 'cat']
PET_NAMES = 'Pip Dot Bobo Coco Momo Kiki'.split()
HOMES = [('small house', 'near the forest'), ('white house', 'by the sea'), ('little hut', 'on a hill'),
         ('stone house', 'near the river'), ('old house', 'in the village'), ('tall house', 'in the town')]
PLACES = ['the park', 'the forest', 'the river', 'the garden', 'the hill', 'the beach', 'the farm', 'the lake']
TOYS = ['kite', 'ball', 'boat', 'drum', 'hat', 'scarf', 'book', 'lamp', 'bell', 'doll']
HUES = ['red', 'blue', 'green', 'yellow', 'white', 'purple']
FOODS = ['bread', 'soup', 'cake', 'honey', 'apples', 'berries', 'cheese', 'nuts']
LOST_IN = ['under a bush', 'behind a big stone', 'in the tall grass', 'under a tree', 'next to a bench']
TRAITS = ['kind', 'brave', 'quiet', 'clever', 'curious', 'careful']


class Hero:
    def __init__(s, rng, other=None):
        kind = rng.random()
        if kind < .375:
            s.name, s.what, s.he, s.his, s.him = rng.choice(GIRLS), 'girl', 'she', 'her', 'her'
        elif kind < .75:
            s.name, s.what, s.he, s.his, s.him = rng.choice(BOYS), 'boy', 'he', 'his', 'him'
        else:
            s.name, s.what = rng.choice(PET_NAMES), rng.choice(PETS)
            s.he, s.his, s.him = rng.choice([('she', 'her', 'her'), ('he', 'his', 'him')])
        s.He = cap(s.he)
        if other and (other.name == s.name or other.what == s.what and s.what in PETS):
            s.__init__(rng, other)


def story(rng):
    """One story. Every choice is drawn once and used to the end; that is all the consistency there is."""
    R = rng.choice
    h = Hero(rng)
    f = Hero(rng, h)
    trait, hue, toy, food, place = R(TRAITS), R(HUES), R(TOYS), R(FOODS), R(PLACES)
    house, where = R(HOMES)
    thing = f'{hue} {toy}'
    n, he, He, his, him = h.name, h.he, h.He, h.his, h.him
    start = R(['Once upon a time, there was', 'Once upon a time, there was', 'Once there was', 'Long ago, there was'])
    s = [f'{start} a {trait} little {h.what} named {n}.', f'{He} lived in {a(house)} {where}.']

    def friend():
        return R([f'On the way {he} met a {f.what} named {f.name}.', f'There {he} saw a {f.what} named {f.name}.'])

    def lost():
        spot = R(LOST_IN)
        yield f'{n} had a {thing}. {He} loved {his} {toy} very much.'
        yield f'One day, {n} took the {thing} to {place}. ' + R([
            f'The wind blew and the {toy} was gone.', f'{He} played all day and forgot the {toy}.'])
        yield R([f'{n} was very sad.', f'{n} began to cry.', f'{He} was sad and sat down.'])
        yield friend()
        yield f'"Why are you sad?" asked {f.name}. "I lost my {thing}," said {n}. "I will help you," said {f.name}.'
        yield f'They looked and looked. At last, {f.name} found the {toy} {spot}.'
        yield f'{n} was happy again. "Thank you, {f.name}," {he} said.'
        yield R([f'From that day on, {n} and {f.name} were good friends.',
                 f'Then {n} and {f.name} played with the {thing} until the evening.'])

    def share():
        yield f'One morning, {n} had {food} in {his} bag and went to {place}.'
        yield friend()
        yield f'{f.name} was hungry and had nothing to eat.'
        yield f'"Please take some of my {food}," said {n}. ' + R([
            f'{f.name} smiled and ate the {food}.', f'{f.name} was very happy and ate.'])
        yield f'The next day, it rained and {n} was cold. {f.name} came with a {hue} coat.'
        yield f'"You gave me {food}, so I give you my coat," said {f.name}.'
        yield R([f'{n} was warm and happy.', f'{n} smiled and was not cold any more.'])
        yield f'{He} learned that it is good to share.'

    def dark():
        yield f'{n} was afraid of the dark. At night, {he} could not sleep.'
        yield f'One day, {his} friend {f.name} came with a {hue} lamp.'
        yield f'"This {hue} lamp is for you," said {f.name}. "It will be your little moon."'
        yield f'That night, {n} put the lamp next to {his} bed. The room was full of {hue} light.'
        yield f'{n} looked around and saw only {his} {toy} and {his} shoes.'
        yield f'"There is nothing to fear," {he} said, and {he} fell asleep.'
        yield f'In the morning, {n} thanked {f.name}. {He} was not afraid any more.'

    def race():
        yield f'{n} liked to run. One day, {he} met a {f.what} named {f.name} at {place}.'
        yield f'"I am faster than you," said {f.name}. "Let us run to the old tree," said {n}.'
        yield f'They ran and ran. Then {f.name} fell over a stone and hurt {f.his} leg.'
        yield f'{n} could win now, but {he} stopped and went back.'
        yield f'{He} helped {f.name} to stand up, and they walked to the old tree together.'
        yield f'"You did not win the race," said {f.name}. "I won a friend," said {n}.'
        yield R([f'They sat under the tree and ate {food}.', f'They laughed and ate {food} under the tree.'])

    def storm():
        yield f'One day, {n} went to {place} to play with {his} {thing}.'
        yield 'Soon the sky was dark, and a big storm came.'
        yield f'{n} heard a small voice. It was {a(f.what)} named {f.name}, who was wet and cold.'
        yield f'"Come with me," said {n}. {He} took {f.name} to {his} {house} {where}.'
        yield f'There they sat by the fire and ate {food}. {f.name} was warm and dry again.'
        yield f'When the sun came out, {n} gave {f.name} the {thing}.'
        yield f'{f.name} was so happy that {f.he} sang a song.'

    def garden():
        yield f'In spring, {n} put a seed in the ground. {He} gave it water every day.'
        yield f'"Nothing will grow there," said {f.name}, {a(f.what)} who lived near {him}. But {n} did not stop.'
        yield f'After many days, a {hue} flower opened. It was the most beautiful flower of all.'
        yield f'{f.name} came to see it. "I was wrong," {f.he} said. "Can you teach me?"'
        yield f'{n} was glad and gave {f.name} a seed. They put it in the ground together.'
        yield f'In summer, the garden was full of {hue} flowers, and {n} and {f.name} were proud.'

    s += R([lost, lost, share, dark, race, storm, garden])()
    return ' '.join(s)


FACTS = facts()


def question(rng):
    """One question and its answer, mostly in the form the model is meant to be asked, and as people type."""
    qs, answer = rng.choice(FACTS)
    q = rng.choice(qs)
    if rng.random() < .06:
        q = q[:-1] if q[-1] == '?' else q
    if rng.random() < .06:
        q = q[0].lower() + q[1:]
    if rng.random() < .1:
        return f'{q} {answer}'
    return f'Question: {q}{" " if rng.random() < .75 else chr(10)}Answer: {answer}'


def reading(rng):
    """A question about what was just said: the only way to answer is to look back."""
    who = rng.sample(GIRLS + BOYS + PET_NAMES, 2)
    what = [f'{h} {t}' for h, t in zip(rng.sample(HUES, 2), rng.sample(TOYS, 2))]
    i, form = rng.randrange(2), rng.randrange(4)
    if form == 0:
        return f'Question: My name is {who[0]}. What is my name? Answer: Your name is {who[0]}.'
    if form == 1:
        return f'Question: Say {who[0]} and {who[1]}. Answer: {who[0]} and {who[1]}.'
    told = ' '.join(f'{w} has a {x}.' for w, x in zip(who, what))
    if form == 2:
        return f'Question: {told} Who has the {what[i]}? Answer: {who[i]} has the {what[i]}.'
    return f'Question: {told} What does {who[i]} have? Answer: {who[i]} has a {what[i]}.'


WISHES = ['Tell me a story.', 'Can you tell me a story?', 'Please tell me a short story.', 'Tell me a tale.']


def document(rng, stories=.115):
    """One document; about `stories` of them are stories, which are long: at .115, half of the text."""
    if rng.random() < stories:
        return story(rng)
    x = rng.random()
    if x < .82:
        return question(rng)
    if x < .95:
        return reading(rng)
    if x < .98:
        return rng.choice(FACTS)[1]
    return f'Question: {rng.choice(WISHES)} Answer: {story(rng)}'


if __name__ == '__main__':
    g = random.Random(1)
    print(len(FACTS), 'facts,', sum(len(q) for q, _ in FACTS), 'questions')
    for _ in range(12):
        print(document(g), '\n')
    for _ in range(5):
        print(story(g), '\n')
